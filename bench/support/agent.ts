import { runAgent } from '../../src/runtime/agent/run.ts';
import { instantHost } from './instant.ts';

// The agent as it is shipped, on a host whose product starts and answers at once.
await runAgent(process.argv.slice(2), { wrap: instantHost });
