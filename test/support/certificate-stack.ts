import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CertificateList, RunDetail } from '../../src/contract/index.ts';
import { targetsOf } from '../../src/domain/certificate/served.ts';
import { certificateWorkflowId, type HostId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { startCheckedStack, type CheckedStack } from './checked-stack.ts';
import { clockVariable, namesVariable } from './checkpoints.ts';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { cutDown } from './matrix-product.ts';
import { startPebble, type TestPebble } from './pebble.ts';

/** What the certificates of these stacks are for. */
export const stackNames = ['app.example.org', 'api.example.org'];
/** A busy machine takes its time. */
export const stackLimitMs = 480_000;

export type KnownCertificate = CertificateList['certificates'][number];

/** A whole Fairlead with one host, whose product ends TLS, and a real ACME server that comes to the host's router for HTTP-01. */
export interface CertificateStack {
  readonly stack: CheckedStack;
  readonly pebble: TestPebble;
  /** Stands in front of the ACME server, where that was asked for. */
  readonly proxy: FaultProxy | null;
  /** How far the host's activities believe to be ahead, in milliseconds. */
  readonly clockFile: string;
  /** Where the host's router answers plain HTTP. */
  readonly plain: number;
  /** What names lead to on the host; of no use before it was called. */
  resolve(names: Readonly<Record<string, readonly string[]>>): Promise<void>;
  issuer(change?: object): Promise<{ readonly directoryUrl: string; readonly caBundleFile: string; readonly rootsFile: string }>;
  post(path: string, body?: object): Promise<{ readonly runId: string; readonly joined: boolean }>;
  detail(runId: string): Promise<RunDetail>;
  /** The report, once the run has ended; gives up before a test does, and says so. */
  ended(runId: string): Promise<RunReport>;
  status(): Promise<KnownCertificate>;
  /** The certificate that is in force on the host. */
  activePem(): Promise<string>;
  targets(): Promise<ReturnType<typeof targetsOf>>;
  end(): Promise<void>;
}

/** The product with TLS. */
async function withTls(directory: string): Promise<void> {
  await cutDown(directory);
  await fs.appendFile(join(directory, 'fairlead.yaml'), 'certificates: { listen: 4443, redirect: true }\n');
}

export interface CertificateStackOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly checksControl?: boolean;
  /** The ACME server is met through a proxy. */
  readonly proxied?: boolean;
  /** Names are resolved by `resolve` alone. */
  readonly resolves?: boolean;
}

export async function createCertificateStack(router: 'nginx' | 'embedded', { env = {}, checksControl = false, proxied = false, resolves = false }: CertificateStackOptions = {}): Promise<CertificateStack> {
  const dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-certificates-'));
  const [clockFile, namesFile] = [join(dir, 'ahead'), join(dir, 'names.json')];
  await fs.writeFile(namesFile, '{}');
  const stack = await startCheckedStack({ dir, checksControl, env: { FAIRLEAD_ROUTER: router, [clockVariable]: clockFile, ...(resolves ? { [namesVariable]: namesFile } : {}), ...env } });
  let pebble: TestPebble | null = null;
  let proxy: FaultProxy | null = null;
  const end = async (): Promise<void> => {
    await stack.end();
    await proxy?.stop();
    await pebble?.stop();
    await fs.rm(dir, { recursive: true, force: true });
  };
  let plain: number;
  try {
    await stack.publish('r1', { edit: withTls });
    const installed = await stack.apply('h1', 'r1');
    if (installed.outcome !== 'succeeded') throw new Error(JSON.stringify(installed.reason));
    plain = (await stack.state('h1')).router?.port as number;
    pebble = await startPebble({ httpPort: plain });
    if (proxied) proxy = await startFaultProxy(pebble.address, pebble.tls);
  } catch (error) {
    await end();
    throw error;
  }
  const authority = pebble;
  const directoryUrl = proxy === null ? authority.directoryUrl : `${proxy.url}/dir`;
  return {
    stack,
    pebble: authority,
    proxy,
    clockFile,
    plain,
    end,
    resolve: (names) => fs.writeFile(namesFile, JSON.stringify(names)),
    detail: async (runId) => (await stack.ask<RunDetail>('GET', `/api/runs/${runId}`)).body,
    async issuer(change = {}) {
      const rootsFile = join(dir, 'issued-roots.pem');
      await fs.writeFile(rootsFile, await authority.roots());
      return { kind: 'acme', name: 'pebble', directoryUrl, contact: ['mailto:ops@example.org'], caBundleFile: authority.caBundleFile, rootsFile, profile: 'default', ...change };
    },
    async post(path, body = {}) {
      const answer = await stack.ask<{ runId: string; joined: boolean }>('POST', `/api/certificates/${path}`, { host: 'h1', product: stack.product, ...body });
      if (answer.status !== 202) throw new Error(`${path} was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
    ended: (runId) => stack.report(runId, stackLimitMs * 0.75, certificateWorkflowId('h1' as HostId, stack.product)),
    status: async () => (await stack.ask<CertificateList>('GET', '/api/certificates')).body.certificates[0] as KnownCertificate,
    activePem: () => fs.readFile(join(stack.layout('h1').certificatesDir, stackNames[0] as string, 'current/fullchain.pem'), 'utf8'),
    targets: async () => targetsOf({ names: stackNames, ports: (await stack.state('h1')).tls?.ports ?? [] }, '127.0.0.1'),
  };
}
