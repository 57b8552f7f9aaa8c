import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPebble } from '../../src/runtime/pebble-toolchain.ts';
import { createAuthority, type TestPair } from './certificate-authority.ts';
import { eventually } from './eventually.ts';
import { freePorts } from './host-root.ts';
import type { Requirement } from './requirement.ts';

/** For `describeWith`: pebble is built by `npm test`, where there is Go. */
export const pebbleIsThere: Requirement = { missing: (await findPebble(process.env)) === null ? 'there is no pebble in the cache (npm run setup -- --run test builds it with Go)' : null };

export interface PebbleOptions {
  /** Of 100 good nonces, how many are rejected. Default 0. */
  readonly nonceReject?: number;
  /** Of 100 orders, how many go on with an authorization that is valid already. Default 0. */
  readonly authorizationReuse?: number;
  /** Accounts need the external account `kid-1` with `macKey`. */
  readonly externalAccount?: boolean;
  /** In seconds, what it says in `Retry-After` of orders and authorizations. Default 1. */
  readonly retryAfterSeconds?: number;
  /** Where it asks for HTTP-01; left out, a free port. */
  readonly httpPort?: number;
}

export interface TestPebble {
  readonly directoryUrl: string;
  /** `127.0.0.1:PORT`, for a proxy. */
  readonly address: string;
  /** PEM roots of its HTTPS. */
  readonly caBundleFile: string;
  /** The same CA can vouch for a proxy in front of it. */
  readonly tls: TestPair;
  /** The MAC key of `kid-1`, base64url. */
  readonly macKey: string;
  /** Where it asks for HTTP-01: a web server of the test listens here. */
  readonly httpPort: number;
  /** PEM of the roots that its certificates lead to; others after each start. */
  roots(): Promise<string>;
  /** What its renewal information for a certificate is from now on; any text. */
  setRenewalInfo(certificate: string, answer: string): Promise<void>;
  /** The address that a name has; every name has 127.0.0.1 at first. */
  setAddress(name: string, address: string): Promise<void>;
  /** For DNS-01 hooks: the base of the challenge server's management interface (`/set-txt`, `/clear-txt`). */
  readonly challengeServerUrl: string;
  /** SIGKILL. It keeps nothing: accounts, orders and roots are gone. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A real ACME server with its DNS server, both on free ports of 127.0.0.1. Profiles: `default` (90 days), `shortlived` (6 days), `hours` (6 hours). */
export async function startPebble({ nonceReject = 0, authorizationReuse = 0, externalAccount = false, retryAfterSeconds = 1, httpPort: givenPort }: PebbleOptions = {}): Promise<TestPebble> {
  const programs = await findPebble(process.env);
  if (programs === null) throw new Error(pebbleIsThere.missing ?? 'pebble was there');
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-pebble-'));
  const authority = await createAuthority('TLS of the test');
  const tls = await authority.issue({ names: ['localhost', '127.0.0.1'] });
  const [port, management, tlsPort, dns, challengeManagement, ownHttpPort] = (await freePorts(6)) as [number, number, number, number, number, number];
  const httpPort = givenPort ?? ownHttpPort;
  const macKey = Buffer.alloc(32, 7).toString('base64url');
  const files = { ca: join(work, 'ca.pem'), cert: join(work, 'cert.pem'), key: join(work, 'key.pem'), config: join(work, 'pebble.json') };
  await Promise.all([fs.writeFile(files.ca, authority.cert), fs.writeFile(files.cert, tls.cert), fs.writeFile(files.key, tls.key)]);
  const profile = (hours: number) => ({ description: `${hours} hours`, validityPeriod: hours * 3_600 });
  await fs.writeFile(
    files.config,
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${port}`,
        managementListenAddress: `127.0.0.1:${management}`,
        certificate: files.cert,
        privateKey: files.key,
        httpPort,
        tlsPort,
        externalAccountBindingRequired: externalAccount,
        externalAccountMACKeys: externalAccount ? { 'kid-1': macKey } : {},
        // Of two labels: for a longer one it breaks down (index out of range) when a shorter name is ordered.
        domainBlocklist: ['blocked.org'],
        retryAfter: { authz: retryAfterSeconds, order: retryAfterSeconds },
        keyAlgorithm: 'ecdsa',
        profiles: { default: profile(90 * 24), shortlived: profile(6 * 24), hours: profile(6) },
      },
    }),
  );
  const running: { pebble: ChildProcess | null; challenges: ChildProcess } = {
    pebble: null,
    challenges: spawn(programs.challengeServer, ['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', '', '-dnsserver', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${challengeManagement}`, '-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''], { stdio: 'ignore' }),
  };
  const challengeServerUrl = `http://127.0.0.1:${challengeManagement}`;
  const ask = (path: string, body?: string) => askHttps(`https://127.0.0.1:${management}${path}`, authority.cert, body);
  const start = async (): Promise<void> => {
    running.pebble = spawn(programs.pebble, ['-config', files.config, '-dnsserver', `127.0.0.1:${dns}`], {
      stdio: process.env['FAIRLEAD_TEST_PEBBLE'] === undefined ? 'ignore' : 'inherit',
      env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: String(nonceReject), PEBBLE_AUTHZREUSE: String(authorizationReuse) },
    });
    await eventually('pebble answers', async () => (await askHttps(`https://127.0.0.1:${port}/dir`, authority.cert)).includes('newOrder'), 60_000);
    await eventually('its management interface answers', () => ask('/roots/0'), 60_000);
  };
  const end = async (): Promise<void> => {
    await Promise.all([killProcess(running.pebble), killProcess(running.challenges)]);
    await fs.rm(work, { recursive: true, force: true });
  };
  try {
    await start();
    await eventually('the challenge server answers', () => fetch(`${challengeServerUrl}/`).then(() => true), 60_000);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    directoryUrl: `https://127.0.0.1:${port}/dir`,
    address: `127.0.0.1:${port}`,
    caBundleFile: files.ca,
    tls,
    macKey,
    httpPort,
    challengeServerUrl,
    roots: () => ask('/roots/0'),
    setRenewalInfo: async (certificate, answer) => void (await ask('/set-renewal-info/', JSON.stringify({ certificate, ariResponse: answer }))),
    async setAddress(name, address) {
      // What is added stands beside what is there.
      for (const path of ['/clear-a', '/add-a']) await fetch(`${challengeServerUrl}${path}`, { method: 'POST', body: JSON.stringify({ host: `${name}.`, addresses: [address] }) });
    },
    kill: () => killProcess(running.pebble),
    start,
    stop: end,
  };
}

async function killProcess(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

function askHttps(url: string, ca: string, body?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, agent: false, headers: { 'User-Agent': 'fairlead-test' }, method: body === undefined ? 'GET' : 'POST', timeout: 10_000 }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${url} answered ${response.statusCode}: ${text}`))));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
