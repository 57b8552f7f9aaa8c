import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { prefetchWorkflowId, type HostId } from '../src/domain/ids.ts';
import { startCheckedStack } from '../test/support/checked-stack.ts';
import { cutDown } from '../test/support/matrix-product.ts';
import { renderHistory } from './history-text.ts';

/**
 * Records two bundles that are brought to a host ahead of their updates: one that comes there, and one that does not.
 *
 * @param directory where the stack lies; made, and removed afterwards @param target where the recordings go
 */
export async function recordBundlePrefetch(directory: string, target: string): Promise<void> {
  await fs.mkdir(directory);
  const stack = await startCheckedStack({ dir: directory, env: { FAIRLEAD_HEAL: 'report' } });
  const connection = await Connection.connect({ address: stack.dev.summary.temporal });
  try {
    const { workflow } = new Client({ connection });
    await stack.publish('r1', { edit: cutDown });
    await stack.apply('h1', 'r1');
    for (const [name, outcome] of [['bundle-fetched', 'fetched'], ['bundle-not-fetched', 'failed']] as const) {
      stack.decide(({ activity }) => (activity === 'prefetchBundle' && outcome === 'failed' ? 'fail' : 'go'));
      await stack.publish(name, { edit: cutDown });
      await stack.ask('POST', '/api/updates/download', { host: 'h1', product: stack.product, releaseId: name });
      const handle = workflow.getHandle(prefetchWorkflowId('h1' as HostId, stack.product));
      const end = (await handle.result()) as { outcome: string };
      if (end.outcome !== outcome) throw new Error(`${name}: ${JSON.stringify(end)}`);
      await fs.writeFile(join(target, `${name}.json`), renderHistory(await handle.fetchHistory()));
      process.stdout.write(`${name}: ${outcome}\n`);
    }
  } finally {
    await connection.close();
    await stack.end();
    await fs.rm(directory, { recursive: true, force: true });
  }
}
