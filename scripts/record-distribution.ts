import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { certificateDistributionWorkflowId, certificateWorkflowId, hostWorkflowId, type HostId } from '../src/domain/ids.ts';
import type { Outcome, RunReport } from '../src/domain/run/report.ts';
import { createTestAuthority, stagePair } from '../test/support/certificates.ts';
import { startCheckedStack } from '../test/support/checked-stack.ts';
import type { Verdict } from '../test/support/checkpoints.ts';
import { eventually } from '../test/support/eventually.ts';
import { cutDown } from '../test/support/matrix-product.ts';
import { renderHistory } from './history-text.ts';

const names = ['app.example.org', 'api.example.org'];
const hosts = ['h1', 'h2', 'h3'] as HostId[];
const promoted = 'h4' as HostId;

/** One certificate on three hosts: brought to all, and then held back by the first of them; and a promotion that gets one, undone and done. @param directory where the stack lies; made, and removed afterwards @param target where the recordings go */
export async function recordDistribution(directory: string, target: string): Promise<void> {
  await fs.mkdir(directory);
  const stack = await startCheckedStack({ dir: directory, hosts: hosts.length + 1, env: { FAIRLEAD_HEAL: 'report' } });
  const connection = await Connection.connect({ address: stack.dev.summary.temporal });
  const { workflow } = new Client({ connection });
  const authority = await createTestAuthority();
  const [orderer] = hosts as [HostId];

  async function get(action: 'issue' | 'renew', more: object): Promise<string> {
    await stagePair(join(directory, 'pairs', names[0] as string), await authority.issue({ names }));
    const { status, body } = await stack.ask<{ runId?: string }>('POST', `/api/certificates/${action}`, { host: orderer, product: stack.product, ...more });
    if (status !== 202 || body.runId === undefined) throw new Error(`${action} was answered with ${status}: ${JSON.stringify(body)}`);
    const { runId } = body;
    await eventually(`run ${runId} ends`, async () => (await stack.ask<{ report?: RunReport | null }>('GET', `/api/runs/${runId}`)).body.report, 240_000);
    return runId;
  }
  async function keep(name: string, workflowId: string, runId?: string): Promise<void> {
    const handle = workflow.getHandle(workflowId, runId);
    await handle.result();
    const text = renderHistory(await handle.fetchHistory());
    await fs.writeFile(join(target, `${name}.json`), text);
    process.stdout.write(`${name}: ${text.split('\n').length - 3} events, ${Math.ceil(text.length / 1024)} KiB\n`);
  }

  async function promote(expected: Outcome, certificate: object): Promise<void> {
    const { outcome, reason } = await stack.promote(promoted, { certificate });
    if (outcome !== expected) throw new Error(`the promotion ended ${outcome} instead of ${expected}: ${JSON.stringify(reason)}`);
  }

  try {
    await stack.publish('r1', { edit: withTls });
    for (const host of hosts) await stack.apply(host, 'r1');
    await fs.writeFile(join(directory, 'roots.pem'), authority.root);
    const issuer = { kind: 'directory', name: 'company', directory: join(directory, 'pairs'), rootsFile: join(directory, 'roots.pem') };
    const distribution = certificateDistributionWorkflowId(orderer, stack.product);
    const shared = await get('issue', { names, issuer, originPort: null, alsoOn: hosts.slice(1) });
    await keep('certificate-shared', certificateWorkflowId(orderer, stack.product), shared);
    await keep('certificate-distributed', distribution);
    await keep('certificate-delivered', certificateWorkflowId(hosts[1] as HostId, stack.product));
    const before = (await workflow.getHandle(distribution).describe()).runId;
    stack.decide(({ activity, host, direction, point }): Verdict => (activity === 'proveServed' && host === hosts[1] && direction === 'do' && point === 'after' ? 'fail' : 'go'));
    await get('renew', { force: true, reason: 'recorded' });
    await eventually('the next distribution', async () => (await workflow.getHandle(distribution).describe()).runId !== before, 240_000);
    await keep('certificate-held-back', distribution);
    await keep('certificate-not-taken', certificateWorkflowId(hosts[1] as HostId, stack.product));
    stack.decide(() => 'go');
    await stack.report(await stack.start(promoted, 'r1', { phase: 'setup' }));
    await fetch(`${await stack.address(promoted)}/api/setup/complete`, { method: 'POST', body: JSON.stringify({ publicOrigin: 'https://shop.example.org', administrator: 'ops' }) });
    const certificate = { names: ['shop.example.org'], issuer, originPort: null };
    await stagePair(join(directory, 'pairs', 'shop.example.org'), await authority.issue({ names: certificate.names }));
    stack.decide(({ activity, host, direction, point }): Verdict => (activity === 'verifyHealth' && host === promoted && direction === 'do' && point === 'after' ? 'fail' : 'go'));
    await promote('rolled_back', certificate);
    await keep('promotion-certificate-undone', hostWorkflowId(promoted, stack.product));
    stack.decide(() => 'go');
    await promote('succeeded', certificate);
    await keep('promoted-with-certificate', hostWorkflowId(promoted, stack.product));
  } finally {
    await connection.close();
    await stack.end();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

async function withTls(directory: string): Promise<void> {
  await cutDown(directory);
  await fs.appendFile(join(directory, 'fairlead.yaml'), 'certificates: { listen: 4443, redirect: true }\n');
}
