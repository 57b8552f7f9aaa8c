import { runIfExtractWorker } from '../src/adapters/bundle/extract-worker.ts';

// One file is three programs: the agent, the thread that unpacks bundles, and the embedded router's process. The dynamic imports keep
// each from loading what only the others need.
if (!runIfExtractWorker()) {
  if (process.argv[2] === 'router') {
    const { runRouterProcess } = await import('../src/adapters/router/embedded/server.ts');
    await runRouterProcess(process.argv.at(-1) ?? '.');
  } else {
    const { runAgent } = await import('../src/runtime/agent/run.ts');
    await runAgent(process.argv.slice(2));
  }
}
