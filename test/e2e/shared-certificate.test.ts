import * as fs from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import pg from 'pg';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import type { CertificateList, RunDetail } from '../../src/contract/index.ts';
import { targetsOf } from '../../src/domain/certificate/served.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { controlTaskQueue } from '../../src/domain/ids.ts';
import { certificateSweepWorkflow } from '../../src/domain/run/names.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { startCheckedStack, type CheckedStack } from '../support/checked-stack.ts';
import type { Verdict } from '../support/checkpoints.ts';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { eventually } from '../support/host-root.ts';
import { cutDown } from '../support/matrix-product.ts';
import { pebbleIsThere, startPebble, type TestPebble } from '../support/pebble.ts';
import { describeWith } from '../support/requirement.ts';

const names = ['app.example.org', 'api.example.org'];
const hosts = ['h1', 'h2', 'h3'] as const;
const limitMs = 240_000;

async function withTls(directory: string): Promise<void> {
  await cutDown(directory);
  await fs.appendFile(join(directory, 'fairlead.yaml'), 'certificates: { listen: 4443, redirect: true }\n');
}

describeWith([pebbleIsThere], 'one certificate on three hosts of a whole Fairlead, and a promotion of a fourth that gets its own', () => {
  let dir: string;
  let stack: CheckedStack;
  let pebble: TestPebble;
  let acme: FaultProxy;
  /** Every private key that any host has had at the end of a test. */
  const keys = new Set<string>();

  beforeAll(async () => {
    dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-shared-'));
    stack = await startCheckedStack({ dir, hosts: 4, env: { FAIRLEAD_ROUTER: 'embedded' } });
    await stack.publish('r1', { edit: withTls });
    for (const { outcome, reason } of await Promise.all(hosts.map((host) => stack.apply(host, 'r1')))) if (outcome !== 'succeeded') throw new Error(JSON.stringify(reason));
    pebble = await startPebble({ httpPort: (await stack.state('h1')).router?.port as number });
    acme = await startFaultProxy(pebble.address, pebble.tls);
    await fs.writeFile(join(dir, 'issued-roots.pem'), await pebble.roots());
  }, limitMs);
  afterEach(async () => {
    stack?.decide(() => 'go');
    for (const host of hosts) {
      const { acmeDir } = stack.layout(host);
      for (const file of (await fs.readdir(acmeDir, { recursive: true }).catch(() => [])).filter((name) => name.endsWith('key.pem'))) keys.add(await fs.readFile(join(acmeDir, file), 'utf8'));
      keys.add(await fs.readFile(agentLayout(rootOf(host)).sealingKeyFile, 'utf8'));
    }
  });
  afterAll(async () => {
    await stack?.end();
    await acme?.stop();
    await pebble?.stop();
    if (dir) await fs.rm(dir, { recursive: true, force: true });
  }, limitMs);

  const rootOf = (host: string): string => stack.dev.summary.hosts.find((each) => each.host === host)?.root as string;
  const orders = () => acme.count(({ path, method, status }) => method === 'POST' && path === '/order-plz' && status === 201);
  const status = async () => (await stack.ask<CertificateList>('GET', '/api/certificates')).body.certificates;
  const issuer = () => ({ kind: 'acme', name: 'pebble', directoryUrl: `${acme.url}/dir`, contact: ['mailto:ops@example.org'], caBundleFile: pebble.caBundleFile, rootsFile: join(dir, 'issued-roots.pem'), profile: 'default' });

  /** Every fingerprint that a host serves, on each listener and for each name. */
  async function served(host: string): Promise<string[]> {
    const probe = createTlsProbe();
    const shown = await Promise.all(targetsOf({ names, ports: (await stack.state(host)).tls?.ports ?? [] }, '127.0.0.1').map((target) => probe.handshake(target)));
    return [...new Set(shown.map(({ chain, error }) => chain[0] ?? `none: ${error}`))];
  }
  async function post(path: 'issue' | 'renew', body: object): Promise<RunReport> {
    const answer = await stack.ask<{ runId: string }>('POST', `/api/certificates/${path}`, { host: 'h1', product: stack.product, reason: 'a test', ...body });
    if (answer.status !== 202) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
    return eventually(`run ${answer.body.runId} ends`, async () => (await stack.ask<RunDetail>('GET', `/api/runs/${answer.body.runId}`)).body.report as RunReport | null, limitMs);
  }
  interface Row {
    readonly sequence: number;
    readonly event: string;
    readonly detail: { readonly hosts: readonly { readonly host: string; readonly outcome: string; readonly code: string | null }[] };
  }
  const distributions = async () => (await stack.ask<{ rows: Row[] }>('GET', '/api/audit?limit=500')).body.rows.filter(({ event }) => event === 'certificate.distributed').sort((a, b) => a.sequence - b.sequence);
  /** How the next distribution ends that this brings about. */
  async function distributed(act: () => Promise<unknown>) {
    const before = (await distributions()).length;
    await act();
    const row = await eventually('the distribution ends', async () => (await distributions())[before], limitMs);
    return row.detail.hosts.map(({ host, outcome, code }) => [host, outcome, code]).sort();
  }
  const renewal = async (outcome = 'succeeded', force = true): Promise<void> => expect((await post('renew', { force })).outcome).toBe(outcome);

  test('one order, and every host serves the same certificate: the first one, another one, and then the rest', async () => {
    const taken: string[] = [];
    stack.decide(({ activity, host, point }): Verdict => {
      if (activity === 'openSealedCertificate' && point === 'before') taken.push(`open ${host}`);
      if (activity === 'commitCertificate' && point === 'before') taken.push(`commit ${host}`);
      return 'go';
    });
    const asked = await stack.fairlead('cert', 'issue', '--host', 'h1', '--host', 'h2', '--host', 'h3', '--product', stack.product, '--names', names.join(','), '--issuer', `${acme.url}/dir`, '--contact', 'ops@example.org', '--ca-bundle', pebble.caBundleFile, '--roots', join(dir, 'issued-roots.pem'), '--no-origin-check');
    expect([asked.exitCode, asked.stderr]).toEqual([0, expect.stringMatching(/h2: serves[\s\S]*h3: serves/)]);
    const [first] = await served('h1');
    expect(await Promise.all(hosts.map(served))).toEqual([[first], [first], [first]]);
    expect(orders()).toBe(1);
    expect(taken).toEqual(['commit h1', 'open h2', 'commit h2', 'open h3', 'commit h3']);
    const ended = await eventually('the distribution ends', async () => (await distributions())[0], limitMs);
    expect(ended.detail.hosts.map(({ host, outcome, code }) => [host, outcome, code]).sort()).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    expect((await status()).map(({ host, alsoOn, orderedBy }) => [host, alsoOn, orderedBy])).toEqual([['h1', ['h2', 'h3'], null], ['h2', [], 'h1'], ['h3', [], 'h1']]);
    // What was opened does not stay beside the pair that is served.
    expect(await fs.readdir(join(stack.layout('h2').acmeDir, 'received'))).toEqual([]);
    const shown = (await stack.fairlead('nodes', 'show', 'h2')).stdout;
    const told = (await stack.ask<{ rows: { event: string; detail: { recipients?: { host: string; key: string }[]; now?: string } }[] }>('GET', '/api/audit?limit=500')).body.rows;
    const key = told.flatMap(({ event, detail }) => (event === 'certificate.sealing_intended' ? (detail.recipients ?? []) : [])).find(({ host }) => host === 'h2')?.key as string;
    expect(shown).toContain(key);
    expect(told.some(({ event, detail }) => event === 'host.sealing_key_told' && detail.now === key)).toBe(true);
  }, limitMs);

  test('a renewal of the first one is one more order, and brings the new one to all; a receiving host is not renewed by itself', async () => {
    const [before] = await served('h2');
    const ordered = orders();
    const refused = await stack.ask<{ code: string }>('POST', '/api/certificates/renew', { host: 'h2', product: stack.product });
    expect([refused.status, refused.body.code]).toEqual([400, 'certificate_ordered_elsewhere']);
    expect(await distributed(renewal)).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    const [now] = await served('h1');
    expect([now === before, ...(await Promise.all(hosts.map(served)))]).toEqual([false, [now], [now], [now]]);
    expect(orders() - ordered).toBe(1);
  }, limitMs);

  test('the first host of a wave that cannot prove it goes back to its old one, and the rest is held back; the next time it comes to all', async () => {
    const [old] = await served('h2');
    const ordered = orders();
    stack.decide(({ activity, host, direction, point }): Verdict => (activity === 'proveServed' && host === 'h2' && direction === 'do' && point === 'after' ? 'fail' : 'go'));
    expect(await distributed(renewal)).toEqual([['h2', 'rolled_back', expect.any(String)], ['h3', 'held_back', 'certificate_held_back']]);
    const [now] = await served('h1');
    expect([now === old, ...(await Promise.all(hosts.map(served)))]).toEqual([false, [now], [old], [old]]);
    expect((await status()).map(({ host, status: { lastTry, nextTryAt } }) => [host, lastTry?.succeeded, nextTryAt !== null])).toEqual([['h1', true, false], ['h2', false, true], ['h3', false, true]]);
    stack.decide(() => 'go');
    // Nothing is due, so that nothing is ordered.
    expect(await distributed(() => renewal('unchanged', false))).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    expect([await Promise.all(hosts.map(served)), orders() - ordered]).toEqual([[[now], [now], [now]], 1]);
  }, limitMs);

  test('a host of the rest that cannot prove it keeps its old one, and the others have the new one', async () => {
    const [old] = await served('h3');
    stack.decide(({ activity, host, direction, point }): Verdict => (activity === 'proveServed' && host === 'h3' && direction === 'do' && point === 'after' ? 'fail' : 'go'));
    expect(await distributed(renewal)).toEqual([['h2', 'succeeded', null], ['h3', 'rolled_back', expect.any(String)]]);
    const [now] = await served('h1');
    expect(await Promise.all(hosts.map(served))).toEqual([[now], [now], [old]]);
    // Once its next try is due, the sweep sees that it has another one than the host that orders for it.
    stack.decide(() => 'go');
    await withDatabase(stack, (client) => client.query("update certificates set next_try_at = now() where host = 'h3'"));
    const sweep = async (): Promise<void> => {
      const temporal = await Connection.connect({ address: stack.dev.summary.temporal });
      try {
        const swept = await new Client({ connection: temporal }).workflow.execute(certificateSweepWorkflow, { workflowId: 'sweep', taskQueue: controlTaskQueue, args: [] });
        expect(swept).toMatchObject({ looked: 3, started: [`h3/${stack.product}`], away: [] });
      } finally {
        await temporal.close();
      }
    };
    expect(await distributed(sweep)).toEqual([['h2', 'unchanged', null], ['h3', 'succeeded', null]]);
    expect(await served('h3')).toEqual([now]);
  }, limitMs);

  test('an ordering host that has pinned keys seals for nobody else: the others keep theirs, and the audit says why', async () => {
    const [old] = await served('h2');
    const { sealingPeersFile } = agentLayout(rootOf('h1'));
    await fs.writeFile(sealingPeersFile, `h2 ${'A'.repeat(43)}\n`);
    expect(await distributed(renewal)).toEqual([['h2', 'refused', 'sealing_peer_unknown'], ['h3', 'held_back', 'certificate_held_back']]);
    expect(await served('h2')).toEqual([old]);
    await fs.rm(sealingPeersFile);
  }, limitMs);

  describe('a promotion with a certificate', () => {
    const name = 'shop.example.org';
    let authorityComesTo: Server;
    const plain = async () => {
      const port = (await stack.state('h4')).router?.port as number;
      return new Promise<[number, string]>((resolve, reject) => {
        request({ host: '127.0.0.1', port, path: '/health', agent: false, headers: { host: name } }, (response) => resolve((response.resume(), [response.statusCode ?? 0, response.headers.location ?? '']))).on('error', reject).end();
      });
    };
    const certificate = () => ({ names: [name], issuer: issuer(), originPort: null });
    beforeAll(async () => {
      const started = await stack.report(await stack.start('h4', 'r1', { phase: 'setup' }), limitMs);
      expect([started.outcome, (await stack.state('h4')).phase]).toEqual(['succeeded', 'setup']);
      await fetch(`${await stack.address('h4')}/api/setup/complete`, { method: 'POST', body: JSON.stringify({ publicOrigin: `https://${name}`, administrator: 'ops' }) });
      // The authority asks every name on one port: this one has an address of its own.
      const port = (await stack.state('h4')).router?.port as number;
      authorityComesTo = createServer((from) => {
        const to = connect(port, '127.0.0.1');
        from.pipe(to).pipe(from);
        for (const socket of [from, to]) socket.on('error', () => socket.destroy());
      });
      await new Promise<void>((resolve) => authorityComesTo.listen(pebble.httpPort, '127.0.0.2', resolve));
      await pebble.setAddress(name, '127.0.0.2');
    }, limitMs);
    afterAll(() => void authorityComesTo?.close());

    test('the installed phase is not healthy: back to the set-up over plain HTTP as before, and no TLS', async () => {
      const tls: (number | undefined)[] = [];
      stack.decide(async ({ activity, host, direction, point }): Promise<Verdict> => {
        if (activity !== 'verifyHealth' || host !== 'h4' || direction !== 'do' || point !== 'after') return 'go';
        tls.push((await stack.state('h4')).tls?.ports[0]);
        return 'fail';
      });
      const report = await stack.promote('h4', { certificate: certificate() });
      expect([report.outcome, report.steps.filter(({ direction, outcome }) => direction === 'undo' && outcome === 'done').map((step) => step.name)]).toEqual(['rolled_back', expect.arrayContaining(['restore-certificate', 'verify-health'])]);
      expect([tls.at(-1), (await stack.state('h4')).tls ?? null, (await stack.state('h4')).phase]).toEqual([expect.any(Number), null, 'setup']);
      expect(await plain()).toEqual([200, '']);
      const { error } = await createTlsProbe().handshake({ address: '127.0.0.1', port: tls.at(-1) as number, name });
      expect(error).not.toBe(null);
    }, limitMs);

    test('it is got over the plain HTTP of the set-up, with the order from before; the installed phase is served over TLS, and plain HTTP is redirected', async () => {
      const before = orders();
      const report = await stack.promote('h4', { certificate: certificate() });
      expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
      const { phase, tls } = await stack.state('h4');
      expect([phase, tls?.names, tls?.proven, orders() - before]).toEqual(['installed', [name], true, 0]);
      const shown = await createTlsProbe().handshake({ address: '127.0.0.1', port: tls?.ports[0] as number, name });
      expect([shown.error, shown.chain.length > 0]).toEqual([null, true]);
      expect(await plain()).toEqual([308, expect.stringMatching(/^https:\/\/shop\.example\.org/)]);
      expect((await status()).find(({ host }) => host === 'h4')).toMatchObject({ issuerName: 'pebble', status: { state: 'valid', names: [name], lastTry: { succeeded: true }, plan: { because: 'ari' } } });
      expect((await stack.promote('h4', { certificate: certificate() })).outcome).toBe('unchanged');
    }, limitMs);
  });

  test('no private key, of a certificate or for sealing, stands in a history, in the database, in a log or in an answer', async () => {
    const secrets = [...keys].flatMap((text) => text.split('\n').filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line)));
    expect(new Set(secrets).size).toBeGreaterThan(12);
    // The bytes in every way that JSON and PEM would write them.
    const needles = [...new Set(secrets.flatMap((line) => [line, line.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''), Buffer.from(line, 'base64').toString('hex')]))];
    const texts: [string, string][] = [];
    const temporal = await Connection.connect({ address: stack.dev.summary.temporal });
    try {
      const { workflow } = new Client({ connection: temporal });
      for await (const { workflowId, runId, type } of workflow.list()) {
        if (!type.startsWith('cert')) continue;
        const json = historyToJSON(await workflow.getHandle(workflowId, runId).fetchHistory());
        texts.push([`history of ${workflowId}`, json + [...json.matchAll(/"data": ?"([A-Za-z0-9+/=]+)"/g)].map((match) => Buffer.from(match[1] as string, 'base64').toString()).join('\n')]);
      }
    } finally {
      await temporal.close();
    }
    expect(texts.filter(([where, text]) => where.includes('certificate/h') && text.includes('fairlead-seal-1')).length).toBeGreaterThan(6);
    expect(texts.some(([where]) => where.includes('certificate-distribution/h1'))).toBe(true);
    for (const [table, rows] of await tablesOf(stack)) texts.push([`table ${table}`, rows]);
    expect(texts.find(([where]) => where === 'table certificates')?.[1]).toContain('orderedBy');
    const own = [...hosts, 'h4'].flatMap((host) => [stack.layout(host).acmeDir, agentLayout(rootOf(host)).sealingKeyFile]);
    const files = (await fs.readdir(stack.dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const file of files) if (!own.some((place) => file.startsWith(place))) texts.push([file, await fs.readFile(file, 'latin1').catch(() => '')]);
    expect(texts.some(([where]) => where.endsWith('.log'))).toBe(true);
    // Each of them would be found where it may stand.
    const atHome = (await Promise.all(own.map(async (place) => ((await fs.stat(place)).isFile() ? [place] : (await fs.readdir(place, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)))))).flat();
    const home = (await Promise.all(atHome.map((file) => fs.readFile(file, 'latin1')))).join('\n');
    expect(secrets.some((secret) => home.includes(secret))).toBe(true);
    expect(texts.filter(([, text]) => needles.some((needle) => text.includes(needle))).map(([where]) => where)).toEqual([]);
  }, limitMs);
});

/** Every row of every table, as text. */
const tablesOf = (stack: CheckedStack): Promise<[string, string][]> =>
  withDatabase(stack, async (client) => {
    const tables = (await client.query<{ name: string }>("select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')")).rows;
    const found: [string, string][] = [];
    for (const { name } of tables) found.push([name.replace('public.', ''), (await client.query<{ row: string }>(`select t::text as row from ${name} t`)).rows.map(({ row }) => row).join('\n')]);
    return found;
  });

async function withDatabase<Result>(stack: CheckedStack, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const environment = (await fs.readFile(`/proc/${stack.pidOf('control')}/environ`, 'utf8')).split('\0');
  const client = new pg.Client(environment.find((line) => line.startsWith('FAIRLEAD_DATABASE_URL='))?.slice('FAIRLEAD_DATABASE_URL='.length));
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
