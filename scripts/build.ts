// npm run build: the agent as one file without native parts, dist/agent.mjs.
import { buildAgent } from '../src/runtime/build-agent.ts';

const { file, built } = await buildAgent();
process.stderr.write(`${file} ${built ? 'was built' : 'is up to date'}\n`);
