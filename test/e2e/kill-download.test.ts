import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { HostDetail } from '../../src/contract/index.ts';
import { controlTaskQueue } from '../../src/domain/ids.ts';
import { releaseCheckWorkflow } from '../../src/domain/run/names.ts';
import { killProcesses, startCheckedStack, type CheckedStack } from '../support/checked-stack.ts';
import { tried, type Verdict } from '../support/checkpoints.ts';
import { eventually } from '../support/eventually.ts';
import { brokenActivation } from '../support/invariants.ts';
import { cutDown } from '../support/matrix-product.ts';

/** Guarantee 9. */
describe('a host fetches a bundle ahead of its update, and loses its agent', () => {
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

  test.each(tried(['prefetchBundle']))('for a release check, SIGKILL %s %s: the bundle is there and whole, nothing else was changed, and the update takes it', async (point, activity) => {
    await untilKnown();
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
    const { sha256, digests } = await fetched(releaseId);
    expect({ killed, digests, current: await fs.readlink(join(root, 'opt', stack.product, 'current')), broken: await brokenActivation(root, stack.product) }).toEqual({ killed: true, digests: [sha256], current, broken: [] });
    expect((await stack.apply('h1', releaseId)).outcome).toBe('succeeded');
  }, 180_000);

  test('for an operator, who asks twice: one download, which goes on; the status tells of it, and the audit', async () => {
    const releaseId = 'asked-for';
    await stack.publish(releaseId, { edit: cutDown });
    const { root } = stack.dev.summary.hosts[0] as { root: string };
    const current = await fs.readlink(join(root, 'opt', stack.product, 'current'));
    const ask = async () => (await stack.ask<{ transfer: { joined: boolean } }>('POST', '/api/updates/download', { host: 'h1', product: stack.product, releaseId })).body.transfer.joined;
    const standing = async () => (await stack.ask<{ download: Record<string, unknown> | null }>('GET', `/api/updates/status?host=h1&product=${stack.product}`)).body.download;
    const audit = async () => (await stack.ask<{ rows: { event: string; subject: string; detail: Record<string, unknown> }[] }>('GET', '/api/audit?limit=1000')).body.rows;
    /** How many have asked for a download and got their answer. */
    const answered = async () => {
      const rows = await audit();
      const asked = rows.filter(({ event, detail }) => event === 'request.intended' && detail['request'] === 'POST /api/updates/download').map(({ detail }) => detail['requestId']);
      return rows.filter(({ event, detail }) => event === 'request.ended' && asked.includes(detail['requestId'])).length;
    };
    const seen: unknown[] = [];
    stack.decide(async (at): Promise<Verdict> => {
      if (at.program !== 'agent' || at.activity !== 'prefetchBundle') return 'go';
      // Whoever follows the download asks for it as well: were it over by then, that would begin another one.
      if (seen.length > 0 && at.point === 'before') await eventually('the command has asked, too', async () => (await answered()) >= 3, 60_000);
      if (seen.length > 0 || at.point !== 'during') return 'go';
      seen.push(await ask(), await standing());
      await killProcesses([stack.pidOf('agent-h1')]);
      return 'go';
    });
    expect(await ask()).toBe(false);
    const followed = await stack.fairlead('update', 'download', releaseId, '--host', 'h1', '--product', stack.product, '--json');
    expect([followed.exitCode, JSON.parse(followed.stdout)]).toMatchObject([0, { releaseId, state: 'fetched', requestedBy: expect.stringContaining('(admin)') }]);
    stack.decide(() => 'go');
    expect(seen).toMatchObject([true, { releaseId, state: 'running' }]);
    const { sha256, digests } = await fetched(releaseId);
    expect({ digests, current: await fs.readlink(join(root, 'opt', stack.product, 'current')), standing: await standing() }).toMatchObject({ digests: [sha256], current, standing: { releaseId, state: 'fetched', reason: null } });
    expect((await audit()).filter(({ event, detail }) => event === 'download.ended' && detail['releaseId'] === releaseId)).toMatchObject([{ subject: `prefetch/h1/${stack.product}`, detail: { outcome: 'fetched', sha256 } }]);
    // Not a byte of it is fetched again.
    const artifacts = await fs.readdir(join(stack.dir, 'artifacts'), { recursive: true });
    await fs.rm(join(stack.dir, 'artifacts', artifacts.find((name) => name.endsWith(sha256))!));
    expect((await stack.apply('h1', releaseId)).outcome).toBe('succeeded');
  }, 180_000);

  /** A check asks no host that control does not hear or of which it has yet to be told what a run has left: at the end of a run, and after its agent's start, the host connects anew. */
  async function untilKnown(): Promise<void> {
    const runs = (await stack.state('h1')).activeReleaseId;
    await eventually(`control hears that ${runs} is active on h1`, async () => {
      const { status, products } = (await stack.ask<HostDetail>('GET', '/api/hosts/h1')).body;
      return status === 'connected' && products.some(({ state, intent }) => intent === null && state?.activeReleaseId === runs);
    }, 60_000);
  }

  /** The digest that a release's bundle has, and those of the files on the host that are called so. */
  async function fetched(releaseId: string): Promise<{ readonly sha256: string; readonly digests: readonly string[] }> {
    const { body } = await stack.ask<{ artifacts: { sha256: string }[] }>('GET', `/api/releases/${stack.product}/${releaseId}`);
    const sha256 = body.artifacts[0]?.sha256 ?? 'none';
    const files = (await fs.readdir(stack.dev.summary.hosts[0]!.root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile() && entry.name.includes(sha256));
    return { sha256, digests: await Promise.all(files.map(async ({ parentPath, name }) => createHash('sha256').update(await fs.readFile(join(parentPath, name))).digest('hex'))) };
  }
});
