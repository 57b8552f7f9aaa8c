import * as fs from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import type { CertificateList, RunDetail } from '../../src/contract/index.ts';
import { targetsOf } from '../../src/domain/certificate/served.ts';
import { certificateDistributionWorkflowId, type HostId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { startCheckedStack, type CheckedStack } from './checked-stack.ts';
import { routersVariable } from './checkpoints.ts';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { eventually } from './eventually.ts';
import { cutDown } from './matrix-product.ts';
import { startPebble, type TestPebble } from './pebble.ts';
import { program } from './requirement.ts';

export const sharedNames = ['app.example.org', 'api.example.org'];
/** The first one orders. */
export const sharingHosts = ['h1', 'h2', 'h3'] as const;
/** In its setup phase once a test has installed it. */
export const promotedHost = 'h4';
const limitMs = 480_000;

interface Row<Detail> {
  readonly sequence: number;
  readonly event: string;
  readonly detail: Detail;
}
interface Distributed {
  readonly distribution: string;
  readonly hosts: readonly { readonly host: string; readonly outcome: string; readonly code: string | null }[];
}

/** A whole Fairlead with three hosts that are to serve one certificate, a fourth, and a real ACME server behind a proxy. Half of the hosts have nginx, where there is one. */
export interface SharedCertificateBed {
  readonly dir: string;
  readonly stack: CheckedStack;
  readonly pebble: TestPebble;
  readonly acme: FaultProxy;
  rootOf(host: string): string;
  issuer(): object;
  /** How many orders the CA has taken. */
  orders(): number;
  status(): Promise<CertificateList['certificates']>;
  /** Every fingerprint that a host serves, on each listener and for each name. */
  served(host: string): Promise<string[]>;
  targets(host: string): Promise<ReturnType<typeof targetsOf>>;
  renewal(outcome?: string, force?: boolean): Promise<void>;
  /** Rows of the audit, oldest first. */
  audited<Detail>(event: string): Promise<readonly Row<Detail>[]>;
  /** How the next distribution ends that `act` brings about; it is over then. */
  distributed(act: () => Promise<unknown>): Promise<(readonly [string, string, string | null])[]>;
  withTemporal<Result>(use: (client: Client) => Promise<Result>): Promise<Result>;
  withDatabase<Result>(use: (client: pg.Client) => Promise<Result>): Promise<Result>;
  end(): Promise<void>;
}

async function withTls(directory: string): Promise<void> {
  await cutDown(directory);
  await fs.appendFile(join(directory, 'fairlead.yaml'), 'certificates: { listen: 4443, redirect: true }\n');
}

export async function createSharedCertificateBed(): Promise<SharedCertificateBed> {
  const dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-shared-'));
  const other = program('nginx').missing === null ? 'nginx' : 'embedded';
  // A killed worker holds its run up for as long as these say; three runs at once need longer than one.
  const env = { FAIRLEAD_ROUTER: 'embedded', [routersVariable]: JSON.stringify({ h2: other, [promotedHost]: other }), FAIRLEAD_STICKY_TIMEOUT_MS: '1000', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '3000' };
  const stack = await startCheckedStack({ dir, hosts: 4, env, checksControl: true });
  let pebble: TestPebble | null = null;
  let acme: FaultProxy | null = null;
  const end = async (): Promise<void> => {
    await stack.end();
    await acme?.stop();
    await pebble?.stop();
    await fs.rm(dir, { recursive: true, force: true });
  };
  const rootsFile = join(dir, 'issued-roots.pem');
  try {
    await stack.publish('r1', { edit: withTls });
    for (const { outcome, reason } of await Promise.all(sharingHosts.map((host) => stack.apply(host, 'r1')))) if (outcome !== 'succeeded') throw new Error(JSON.stringify(reason));
    pebble = await startPebble({ httpPort: (await stack.state('h1')).router?.port as number });
    acme = await startFaultProxy(pebble.address, pebble.tls);
    await fs.writeFile(rootsFile, await pebble.roots());
  } catch (error) {
    await end();
    throw error;
  }
  const [authority, proxy] = [pebble, acme];

  const bed: SharedCertificateBed = {
    dir,
    stack,
    pebble: authority,
    acme: proxy,
    rootOf: (host) => stack.dev.summary.hosts.find((each) => each.host === host)?.root as string,
    issuer: () => ({ kind: 'acme', name: 'pebble', directoryUrl: `${proxy.url}/dir`, contact: ['mailto:ops@example.org'], caBundleFile: authority.caBundleFile, rootsFile, profile: 'default' }),
    orders: () => proxy.count(({ path, method, status }) => method === 'POST' && path === '/order-plz' && status === 201),
    status: async () => (await stack.ask<CertificateList>('GET', '/api/certificates')).body.certificates,
    targets: async (host) => targetsOf({ names: sharedNames, ports: (await stack.state(host)).tls?.ports ?? [] }, '127.0.0.1'),
    async served(host) {
      const probe = createTlsProbe();
      const shown = await Promise.all((await bed.targets(host)).map((target) => probe.handshake(target)));
      return [...new Set(shown.map(({ chain, error }) => chain[0] ?? `none: ${error}`))];
    },
    async renewal(outcome = 'succeeded', force = true) {
      const answer = await stack.ask<{ runId: string }>('POST', '/api/certificates/renew', { host: 'h1', product: stack.product, reason: 'a test', force });
      if (answer.status !== 202) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
      const report = await eventually(`run ${answer.body.runId} ends`, async () => (await stack.ask<RunDetail>('GET', `/api/runs/${answer.body.runId}`)).body.report as RunReport | null, limitMs);
      expect([report.outcome, outcome === 'succeeded' ? report.reason : null]).toEqual([outcome, null]);
    },
    async audited<Detail>(event: string) {
      const { rows } = (await stack.ask<{ rows: Row<Detail>[] }>('GET', '/api/audit?limit=1000')).body;
      return rows.filter((row) => row.event === event).sort((a, b) => a.sequence - b.sequence);
    },
    async distributed(act) {
      const before = (await bed.audited('certificate.distributed')).length;
      await act();
      const row = await eventually('the distribution ends', async () => (await bed.audited<Distributed>('certificate.distributed'))[before], limitMs);
      // One that is under way would have the next one left out.
      await bed.withTemporal(({ workflow }) => workflow.getHandle(certificateDistributionWorkflowId('h1' as HostId, stack.product), row.detail.distribution).result());
      return row.detail.hosts.map(({ host, outcome, code }) => [host, outcome, code] as const).sort();
    },
    async withTemporal(use) {
      const connection = await Connection.connect({ address: stack.dev.summary.temporal });
      try {
        return await use(new Client({ connection }));
      } finally {
        await connection.close();
      }
    },
    async withDatabase(use) {
      const environment = (await fs.readFile(`/proc/${stack.pidOf('control')}/environ`, 'utf8')).split('\0');
      const client = new pg.Client(environment.find((line) => line.startsWith('FAIRLEAD_DATABASE_URL='))?.slice('FAIRLEAD_DATABASE_URL='.length));
      await client.connect();
      try {
        return await use(client);
      } finally {
        await client.end();
      }
    },
    end,
  };
  return bed;
}

export interface PromotedHost {
  /** What plain HTTP answers for the name: the status, and where it sends to. */
  plain(): Promise<readonly [number, string]>;
  end(): void;
}

/** Has the fourth host in its setup phase, which is complete for this name; the authority comes to its router for it. */
export async function startPromotedHost({ stack, pebble }: SharedCertificateBed, name: string): Promise<PromotedHost> {
  const started = await stack.apply(promotedHost, 'r1', { phase: 'setup' });
  expect([started.outcome, (await stack.state(promotedHost)).phase]).toEqual(['succeeded', 'setup']);
  await fetch(`${await stack.address(promotedHost)}/api/setup/complete`, { method: 'POST', headers: { connection: 'close' }, body: JSON.stringify({ publicOrigin: `https://${name}`, administrator: 'ops' }) });
  const port = (await stack.state(promotedHost)).router?.port as number;
  // The authority asks every name on one port: this one has an address of its own.
  const way = createServer((from) => {
    const to = connect(port, '127.0.0.1');
    from.pipe(to).pipe(from);
    for (const socket of [from, to]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => way.listen(pebble.httpPort, '127.0.0.2', resolve));
  await pebble.setAddress(name, '127.0.0.2');
  return {
    plain: () =>
      new Promise((resolve, reject) => {
        request({ host: '127.0.0.1', port, path: '/health', agent: false, headers: { host: name } }, (response) => resolve((response.resume(), [response.statusCode ?? 0, response.headers.location ?? '']))).on('error', reject).end();
      }),
    end: () => void way.close(),
  };
}
