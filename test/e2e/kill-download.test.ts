import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { controlTaskQueue } from '../../src/domain/ids.ts';
import { releaseCheckWorkflow } from '../../src/domain/run/names.ts';
import { killProcesses, startCheckedStack, type CheckedStack } from '../support/checked-stack.ts';
import { tried, type Verdict } from '../support/checkpoints.ts';
import { brokenActivation } from '../support/invariants.ts';
import { cutDown } from '../support/matrix-product.ts';

describe('a release check loses the agent that fetches a bundle for it', () => {
  let stack: CheckedStack;
  let connection: Connection;
  beforeAll(async () => {
    stack = await startCheckedStack({ env: { FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } });
    connection = await Connection.connect({ address: stack.dev.summary.temporal });
    await stack.publish('r1', { edit: cutDown });
    expect((await stack.apply('h1', 'r1')).outcome).toBe('succeeded');
    expect(await stack.ask('PUT', '/api/updates/policies', { product: stack.product, host: 'h1', action: 'download' })).toMatchObject({ status: 200 });
  }, 240_000);
  afterAll(async () => {
    await connection?.close();
    await stack?.end();
  }, 60_000);

  test.each(tried(['prefetchBundle']))('SIGKILL %s %s: the bundle is there and whole, nothing else was changed, and the update takes it', async (point, activity) => {
    const releaseId = `fetched-${point}`;
    await stack.publish(releaseId, { edit: cutDown });
    const { root } = stack.dev.summary.hosts[0] as { root: string };
    const current = await fs.readlink(join(root, 'opt', stack.product, 'current'));
    let killed = false;
    stack.decide(async (at): Promise<Verdict> => {
      if (killed || at.program !== 'agent' || at.activity !== activity || at.point !== point) return 'go';
      killed = true;
      await killProcesses([stack.pidOf('agent-h1')]);
      return 'go';
    });
    const { workflow } = new Client({ connection });
    const check = await workflow.start(releaseCheckWorkflow, { workflowId: `release-check-${point}`, taskQueue: controlTaskQueue });
    expect(await check.result()).toMatchObject({ downloaded: [`h1/${stack.product} ${releaseId}`], away: [] });
    stack.decide(() => 'go');
    const { body } = await stack.ask<{ artifacts: { sha256: string }[] }>('GET', `/api/releases/${stack.product}/${releaseId}`);
    const files = (await fs.readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile() && entry.name.includes(body.artifacts[0]?.sha256 ?? 'none'));
    const digests = await Promise.all(files.map(async ({ parentPath, name }) => createHash('sha256').update(await fs.readFile(join(parentPath, name))).digest('hex')));
    expect({ killed, digests, current: await fs.readlink(join(root, 'opt', stack.product, 'current')), broken: await brokenActivation(root, stack.product) }).toEqual({ killed: true, digests: [body.artifacts[0]?.sha256], current, broken: [] });
    expect((await stack.apply('h1', releaseId)).outcome).toBe('succeeded');
  }, 180_000);
});
