import { fileURLToPath } from 'node:url';
import { Client, type Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createActivityPoller, type PollerOptions } from '../../src/adapters/temporal/activity-poller.ts';

let isQuiet = false;
/** The SDK takes its logger once for a process. */
function quiet(): void {
  if (!isQuiet) Runtime.install({ logger: new DefaultLogger('ERROR') });
  isQuiet = true;
}

/**
 * A chain of empty activities on the same server, by the SDK's worker and the agent's own poller: what a step costs before it does anything.
 * It depends on the machine and on how the server keeps its data, so a run is compared with it, not with a number from elsewhere.
 *
 * @param host where the poller gets its work, and by which way; default: by `connection`, on a queue of its own
 */
export async function startBareChain(
  connection: Connection,
  address: string,
  host: Pick<PollerOptions, 'connection' | 'taskQueue' | 'identity' | 'sealedTokens'> = { connection, taskQueue: 'bare-host', identity: 'bare' },
): Promise<{ take(count: number): Promise<number>; end(): Promise<void> }> {
  quiet();
  const native = await NativeConnection.connect({ address });
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: fileURLToPath(new URL('./bare-chain-workflow.ts', import.meta.url)), logger: new DefaultLogger('ERROR') });
  const worker = await Worker.create({ connection: native, taskQueue: 'bare-control', workflowBundle });
  const working = worker.run();
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const inFlight = { enter: async () => undefined, leave: async () => undefined, leftovers: async () => [] };
  const poller = createActivityPoller({ ...host, namespace: 'default', activities: { step: async () => null }, maxConcurrent: 1, inFlight, logger: silent });
  await poller.start();
  const client = new Client({ connection });
  let turn = 0;
  return {
    /** @returns how long `count` activities in turn took, in milliseconds */
    async take(count) {
      turn += 1;
      const began = performance.now();
      await client.workflow.execute('bareChain', { taskQueue: 'bare-control', workflowId: `bare-${host.taskQueue}-${turn}`, args: [host.taskQueue, count] });
      return performance.now() - began;
    },
    async end() {
      await poller.stop(1_000);
      worker.shutdown();
      await working;
      await native.close();
    },
  };
}
