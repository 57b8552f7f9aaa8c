import { runRouterProcess } from './server.ts';

// Entry of the router process; its last argument is its directory. `createEmbeddedRouter` is told by `entry` how to start it.
await runRouterProcess(process.argv.at(-1) ?? '.');
