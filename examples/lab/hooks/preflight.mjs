// Before anything is touched: can this release run here? The last line that is printed is the hook's note in the run's report.
import { readFaults } from '../lib/release.mjs';

const [major, minor] = process.versions.node.split('.').map(Number);
const problem = [readFaults('preflight').failHook ?? []].flat().includes('preflight') ? 'the fault failHook names preflight' : major > 22 || (major === 22 && minor >= 4) ? null : `Node ${process.versions.node} has no WebSocket client of its own; this release needs 22.4 or newer`;
if (problem !== null) {
  console.error(`preflight: ${problem}`);
  process.exit(1);
}
console.log(`Node ${process.versions.node}`);
