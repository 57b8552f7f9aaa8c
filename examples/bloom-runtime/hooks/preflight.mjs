// Before anything is touched: can this release run here, and are the keys for nobody else?
import { accessSync, constants, mkdirSync } from 'node:fs';
import { dataDir } from '../lib/release.mjs';
import { readKeys } from '../lib/secrets.mjs';

try {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 12)) throw new Error(`Node ${process.versions.node} is too old; this release needs 20.12 or newer`);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  accessSync(dataDir, constants.W_OK);
  const keys = process.env.FAIRLEAD_CONFIG_DIR ? readKeys(`${process.env.FAIRLEAD_CONFIG_DIR}/.env.production`) : {};
  console.log(`Node ${process.versions.node}, ${Object.keys(keys).length} keys in a file that only its owner can read`);
} catch (error) {
  console.error(`preflight: ${error.message}`);
  process.exit(1);
}
