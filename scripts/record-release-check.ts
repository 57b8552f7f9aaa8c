import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { controlTaskQueue } from '../src/domain/ids.ts';
import { releaseCheckWorkflow } from '../src/domain/run/names.ts';
import { startFleet } from '../test/support/fleet.ts';
import { renderHistory } from './history-text.ts';

/**
 * Records two release checks: one that starts an update, a rollout and a download, and one that finds nothing to do.
 *
 * @param directory where the stack lies; made, and removed afterwards @param target where the recordings go
 */
export async function recordReleaseChecks(directory: string, target: string): Promise<void> {
  await fs.mkdir(directory);
  const fleet = await startFleet({ dir: directory, nodes: 3, replace: { env: { FAIRLEAD_HEAL: 'report', FAIRLEAD_ROUTER: 'embedded' } } });
  const connection = await Connection.connect({ address: fleet.dev.summary.temporal });
  try {
    await fleet.release('r1');
    for (const host of fleet.hosts) await fleet.apply(host, 'r1');
    const { product } = fleet;
    for (const policy of [{ product, action: 'apply' }, { product, host: 'h1', action: 'apply' }, { product, host: 'h4', action: 'download' }]) await fleet.ask('PUT', '/api/updates/policies', policy);
    await fleet.release('r2');
    const { workflow } = new Client({ connection });
    for (const name of ['release-check', 'release-check-nothing']) {
      const handle = await workflow.start(releaseCheckWorkflow, { workflowId: 'release-check', taskQueue: controlTaskQueue });
      const { updates, rollouts, downloaded } = (await handle.result()) as { updates: string[]; rollouts: string[]; downloaded: string[] };
      const begun = [updates.length, rollouts.length, downloaded.length].join();
      if (begun !== (name === 'release-check' ? '1,1,1' : '0,0,0')) throw new Error(`${name} began ${begun}`);
      await fs.writeFile(join(target, `${name}.json`), renderHistory(await handle.fetchHistory()));
      process.stdout.write(`${name}: ${begun}\n`);
      if (name === 'release-check') {
        const { rollouts: all } = (await fleet.ask<{ rollouts: { rolloutId: string }[] }>('GET', '/api/rollouts')).body;
        await fleet.ended(all[0]!.rolloutId);
        await fleet.ask('PUT', '/api/updates/policies', { product, host: 'h4', action: 'notify' });
        await workflow.getHandle(`host/h1/${product}`).result();
      }
    }
  } finally {
    await connection.close();
    await fleet.end();
    await fs.rm(directory, { recursive: true, force: true });
  }
}
