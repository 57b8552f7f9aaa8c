import { runIfExtractWorker } from '../../src/adapters/bundle/extract-worker.ts';

// The agent as it is shipped, on a host whose product starts and answers at once.
if (!runIfExtractWorker()) {
  const { runAgent } = await import('../../src/runtime/agent/run.ts');
  const { instantHost } = await import('./instant.ts');
  await runAgent(process.argv.slice(2), { wrap: instantHost });
}
