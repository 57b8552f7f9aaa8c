import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { signalProcess } from '../../src/adapters/process/proc.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { CertificateVersion } from '../../src/domain/ids.ts';
import { certificate, certificateNames, createCertificateBed, watchHandshakes, type Moment, type Renewal } from '../support/certificate-bed.ts';
import { createTestAuthority, type IssuedPair, type TestAuthority } from '../support/certificates.ts';
import { startLoad, startLoadProcess } from '../support/load.ts';
import { describeWith, program, root as asRoot } from '../support/requirement.ts';
import { product, routerKinds, type RouterKind } from '../support/router-bed.ts';

type Bed = Awaited<ReturnType<typeof createCertificateBed>>;
const run = promisify(execFile);
const host = certificateNames[0] as string;

let authority: TestAuthority;
// A busy machine takes its time.
const limitMs = 240_000;
/** What goes on beside a renewal, ended also where the test fails. */
let beside: { stop(): Promise<unknown> }[] = [];
const during = <Work extends { stop(): Promise<unknown> }>(work: Work): Work => {
  beside.push(work);
  return work;
};
const endBeside = async () => {
  for (const work of beside) await work.stop();
  beside = [];
};
beforeAll(async () => {
  authority = await createTestAuthority();
});
const issue = (names = certificateNames) => authority.issue({ names });

/** One request over a connection of its own. */
function ask(port: number, path: string, { tls = false, headers = {}, method = 'GET' }: { tls?: boolean; headers?: Record<string, string>; method?: string } = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, agent: false, headers: { host, connection: 'close', ...headers } } as const;
    const asking = tls ? httpsRequest({ ...options, servername: host, rejectUnauthorized: false }) : httpRequest(options);
    asking.on('error', reject);
    asking.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asking.end();
  });
}

/** The load itself: nothing is waited for but that clients ask for a while. */
const clientsGoOn = () => new Promise((resolve) => setTimeout(resolve, 500));
const loadOf = (bed: Bed) =>
  startLoadProcess({ urls: bed.ports.flatMap((port) => [`https://127.0.0.1:${port}/api/rows`, `https://127.0.0.1:${port}/`]), postUrl: `https://127.0.0.1:${bed.ports[0]}/api/rows`, postShare: 0.2, requestsPerSecond: 200, connections: 20, serverName: host });
const everywhere = (...fingerprints: string[]) => Object.fromEntries(['first', 'second'].flatMap((port) => certificateNames.map((name) => [`${port} ${name}`, fingerprints])));
const fingerprintsOf = ({ served }: Renewal) => [...new Set(served.flatMap(({ fingerprints }) => Object.keys(fingerprints)))];

for (const kind of routerKinds) {
  describeWith(kind.requires, `certificates of a host with the ${kind.name} router`, () => {
    let bed: Bed;
    const start = async (...given: Parameters<typeof createCertificateBed> extends [RouterKind, ...infer Rest] ? Rest : never) => {
      bed = await createCertificateBed(kind, ...given);
      await bed.serve();
    };
    afterEach(async () => {
      await endBeside();
      await bed?.end();
    });

    test('the first one: plain HTTP goes on until TLS is proven, then is redirected; no request fails on the way', async () => {
      await start({ declared: { hsts: { maxAgeSeconds: 86_400, includeSubDomains: true, preload: false } } });
      const pair = await issue();
      const load = during(startLoad({ urls: [`http://127.0.0.1:${bed.plain}/api/rows`], requestsPerSecond: 200, connections: 20, isExpected: (status) => status === 200 || status === 308 }));
      let unproven = 0;
      const renewal = await bed.renew(pair, { before: { commitCertificate: async () => (unproven = (await ask(bed.plain, '/api/rows')).status) } });
      const result = await load.stop();
      expect({ outcome: renewal.outcome, reason: renewal.reason, unproven }).toEqual({ outcome: 'succeeded', reason: null, unproven: 200 });
      expect(result.failed).toEqual([]);
      expect(result.succeeded).toBe(result.sent);
      expect(renewal.served.map(({ target }) => [target.port, target.name])).toEqual(bed.ports.flatMap((port) => certificateNames.map((name) => [port, name])));
      expect(fingerprintsOf(renewal)).toEqual([pair.fingerprint]);

      const [first] = bed.ports;
      const answer = await ask(first as number, '/api/rows?x=1', { tls: true });
      expect(answer).toMatchObject({ status: 200, headers: { 'strict-transport-security': 'max-age=86400; includeSubDomains' } });
      expect(JSON.parse(answer.body)).toMatchObject({ url: '/api/rows?x=1', headers: { 'x-forwarded-proto': 'https', host } });
      expect(await ask(bed.plain, '/a?b=1', { method: 'POST' })).toMatchObject({ status: 308, headers: { location: `https://${host}:${first}/a?b=1` } });
      // A name that is not ours is not repeated.
      expect((await ask(bed.plain, '/', { headers: { host: 'evil.example' } })).headers['location']).toBe(`https://${host}:${first}/`);
      expect((await ask(bed.plain, '/')).headers['strict-transport-security']).toBeUndefined();
      const { hsts, proven } = { hsts: 1, ...(await bed.dependencies.store.readState(product))?.tls };
      expect([hsts, proven]).toEqual([1, true]);
    }, limitMs);

    test('challenges are answered on the plain port, with and without TLS, and nothing else from there', async () => {
      await start();
      const webroot = await bed.dependencies.router.challengeRoot(product);
      await fs.writeFile(join(webroot, '.well-known/acme-challenge/token-1'), 'token-1.thumb', { mode: 0o644 });
      const answers = async () => [await ask(bed.plain, '/.well-known/acme-challenge/token-1'), await ask(bed.plain, '/.well-known/acme-challenge/none'), await ask(bed.plain, '/.well-known/acme-challenge/a%20b')].map(({ status, body }) => [status, status === 200 ? body : '']);
      const expected = [[200, 'token-1.thumb'], [404, ''], [404, '']];
      expect(await answers()).toEqual(expected);
      await bed.renew(await issue());
      expect(await answers()).toEqual(expected);
    }, limitMs);

    /** Guarantees 7 and 12. */
    test('a renewal at 200 requests per second on kept connections: every request is answered, no handshake fails, and each place goes from the old one to the new one', async () => {
      await start();
      const [old, next] = [await issue(), await issue()];
      await bed.renew(old);
      const load = during(loadOf(bed));
      const watch = during(watchHandshakes(bed.targets));
      const before = await kind.find(bed.root);
      const third = await issue();
      await load.begun();
      await watch.met(old.fingerprint);
      await clientsGoOn(); // Connections are open and in use before anything moves.
      const renewal = await bed.renew(next);
      await clientsGoOn();
      expect([renewal.outcome, renewal.reason]).toEqual(['succeeded', null]);
      await watch.met(next.fingerprint);
      const again = await bed.renew(third);
      await clientsGoOn();
      const [result, seen] = [await load.stop(), await watch.stop()];
      expect([renewal.outcome, renewal.reason, again.outcome]).toEqual(['succeeded', null, 'succeeded']);
      expect(result.failed).toEqual([]);
      expect(result.succeeded).toBe(result.sent);
      expect(result.sent).toBeGreaterThan(100);
      expect(seen.failed).toEqual([]);
      expect(seen.seen).toEqual(everywhere(old.fingerprint, next.fingerprint, third.fingerprint));
      expect(seen.last).toEqual([third.fingerprint]);
      // The master, or the only process, stays.
      const after = new Set((await kind.find(bed.root)).map(({ pid }) => pid));
      expect(before.filter(({ pid }) => after.has(pid))).not.toEqual([]);
      expect(await fs.readdir(join(bed.root, 'var/lib/shop/acme/certificates/app.example.test/versions'))).toHaveLength(2);
    }, limitMs);

    test.each<[string, (pair: IssuedPair, other: IssuedPair) => Partial<IssuedPair>, string]>([
      ['is for another key', (_pair, other) => ({ key: other.key }), 'certificate_key_mismatch'],
      ['has no chain', (pair) => ({ fullchain: pair.cert }), 'certificate_chain_incomplete'],
    ])('a new certificate that %s: refused before the switch, the old one is served throughout', async (_fault, change, code) => {
      await start();
      const [old, next, other] = [await issue(), await issue(), await issue()];
      await bed.renew(old);
      const watch = during(watchHandshakes(bed.targets));
      const renewal = await bed.renew(next, { change: change(next, other) });
      const seen = await watch.stop();
      expect(renewal).toMatchObject({ outcome: 'refused', reason: { class: 'dependency', code } });
      expect(seen).toMatchObject({ failed: [], seen: everywhere(old.fingerprint) });
    }, limitMs);

    test('the first one fails after the switch: plain HTTP goes on, TLS is off again, and no pair is left in force', async () => {
      await start();
      const renewal = await bed.renew(await issue(), { before: { commitCertificate: () => Promise.reject(new Error('broken')) } });
      expect(renewal).toMatchObject({ outcome: 'rolled_back', served: [] });
      expect((await ask(bed.plain, '/api/rows')).status).toBe(200);
      expect(await ask(bed.ports[0] as number, '/', { tls: true }).catch((error: NodeJS.ErrnoException) => error.code)).toBe('ECONNREFUSED');
      expect(await bed.active()).toBeNull();
      expect((await bed.dependencies.store.readState(product))?.tls).toBeNull();
    }, limitMs);

    test('the recovery script alone puts the old pair back and has it served; twice does no harm', async () => {
      await start();
      const [old, next] = [await issue(), await issue()];
      await bed.renew(old);
      const version = await bed.active();
      const stopped = await bed.renew(next, {
        before: {
          proveServed: async () => {
            const script = hostLayout(bed.root, product).recoveryScript(bed.run().runId);
            for (const attempt of [1, 2]) {
              const { stdout } = await run('/bin/sh', [script], { env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin' } });
              expect([attempt, stdout]).toEqual([attempt, expect.stringContaining(`certificate ${certificate} is back on version ${version}`)]);
            }
            expect(await bed.active()).toBe(version);
          },
        },
      });
      // What the run expected is not served any more, and it says so.
      expect(stopped).toMatchObject({ outcome: 'rolled_back', reason: { code: 'reload_did_nothing' } });
      expect(fingerprintsOf(stopped)).toEqual([old.fingerprint]);
    }, limitMs);

    test('the public origin: its name has to lead to this router, on every address', async () => {
      await start();
      const check = (origin: string) => bed.activities.checkPublicOrigin({ run: bed.run(), direction: 'do', origin, names: [], httpPort: bed.plain }, bed.context).then(() => 'right', (error: { reason?: { code: string } }) => error.reason?.code ?? String(error));
      const origin = `https://${host}:${bed.ports[0]}`;
      expect(await check(origin)).toBe('origin_unresolved');
      bed.resolved.set(host, ['127.0.0.1']);
      expect(await check(`https://${host}`)).toBe('origin_port_not_served');
      expect(await check(`http://${host}`)).toBe('origin_not_https');
      await bed.renew(await issue());
      expect(await check(origin)).toBe('right');
      bed.resolved.set(host, ['127.0.0.1', '127.0.0.9']);
      expect(await check(origin)).toBe('origin_unreachable');
    }, limitMs);
  });
}

const nginx = routerKinds.find(({ name }) => name === 'nginx') as RouterKind;
describeWith([asRoot, ...nginx.requires, ...['prlimit', 'mount'].map(program)], 'a renewal with nginx, where something fails after the switch has begun', () => {
  let bed: Bed;
  let ends: (() => unknown)[] = [];
  afterEach(async () => {
    await endBeside();
    for (const end of ends.reverse()) await end();
    ends = [];
    await bed?.end();
  });
  const directory = () => join(hostLayout(bed.root, product).routerDir, 'nginx');
  const master = async () => {
    const found = (await nginx.find(bed.root)) as { pid: number; startTicks: string; commandLine: string }[];
    return found.find(({ commandLine }) => commandLine.startsWith('nginx: master')) as (typeof found)[number];
  };
  const generation = async () => join(directory(), (await fs.readlink(join(directory(), 'nginx.conf'))).replace('/nginx.conf', ''));
  const versionsDir = () => join(bed.root, 'var/lib/shop/acme/certificates', certificate, 'versions');

  interface Fault {
    readonly at: Moment;
    readonly code: string;
    readonly message: RegExp;
    /** What may have been served on the second listener and on the first. */
    readonly newSeenOn?: 'first';
    tamper(version: CertificateVersion): Promise<unknown>;
  }
  const faults: Record<string, Fault> = {
    'nginx -t refuses the pair': {
      at: 'testRouter',
      code: 'router_test_failed',
      message: /key/i,
      tamper: (version) => fs.writeFile(join(versionsDir(), version, 'key.pem'), 'no key'),
    },
    'the master has no file descriptors left: the reload returns 0 and does nothing': {
      at: 'reloadRouter',
      code: 'reload_did_nothing',
      message: /Too many open files/,
      tamper: async () => run('prlimit', ['--pid', String((await master()).pid), '--nofile=8:1024']),
    },
    'the master cannot read its configuration: the reload returns 0 and does nothing': {
      at: 'reloadRouter',
      code: 'reload_did_nothing',
      message: /locations\.conf/,
      tamper: async () => {
        const file = join(await generation(), 'locations.conf');
        await fs.rename(file, `${file}.away`);
      },
    },
    'the master does not answer signals: the reload returns 0 and does nothing': {
      at: 'reloadRouter',
      code: 'reload_did_nothing',
      message: /did not change within/,
      tamper: async () => {
        const process = await master();
        await signalProcess(process, 'SIGSTOP');
        ends.push(() => signalProcess(process, 'SIGCONT'));
      },
    },
    'one listener stays on the old certificate': {
      at: 'reloadRouter',
      code: 'listener_stuck',
      message: /serves certificate/,
      newSeenOn: 'first',
      tamper: async () => {
        const file = join(await generation(), 'nginx.conf');
        const text = await fs.readFile(file, 'utf8');
        const old = (await fs.readdir(versionsDir())).find((name) => name !== undefined && name !== switched);
        const listen = new RegExp(`^\\s*listen 127\\.0\\.0\\.1:${bed.ports[1]} .*\\n`, 'm');
        const line = listen.exec(text)?.[0] ?? '';
        const server = `    server {\n${line}        ssl_certificate ${versionsDir()}/${old}/fullchain.pem;\n        ssl_certificate_key ${versionsDir()}/${old}/key.pem;\n        location / { return 204; }\n    }\n`;
        await fs.writeFile(file, text.replace(listen, '').replace('    # The inner layer:', `${server}    # The inner layer:`));
      },
    },
  };
  let switched: CertificateVersion | undefined;

  /** Guarantee 7. */
  test.each(Object.entries(faults))('%s: the old certificate is back and proven, no handshake and no request fails, and the report says it', async (_name, { at, code, message, newSeenOn, tamper }) => {
    bed = await createCertificateBed(nginx);
    await bed.serve();
    const [old, next] = [await issue(), await issue()];
    await bed.renew(old);
    const version = await bed.active();
    const load = during(startLoadProcess({ urls: [`https://127.0.0.1:${bed.ports[0]}/api/rows`], postShare: 0.2, requestsPerSecond: 200, connections: 20, serverName: host }));
    const watch = during(watchHandshakes(bed.targets));
    const renewal = await bed.renew(next, {
      before: {
        [at]: async (staged: CertificateVersion) => {
          switched = staged;
          await tamper(staged);
        },
      },
    });
    const [result, seen] = [await load.stop(), await watch.stop()];
    expect(renewal).toMatchObject({ outcome: 'rolled_back', reason: { class: 'host', code, message: expect.stringMatching(message) }, backupPath: expect.stringMatching(/\/backups\/run-2$/) });
    expect(fingerprintsOf(renewal)).toEqual([old.fingerprint]);
    expect(await bed.active()).toBe(version);
    expect([seen.failed, result.failed]).toEqual([[], []]);
    const first = newSeenOn === 'first' ? [old.fingerprint, next.fingerprint] : [old.fingerprint];
    expect(seen.last).toEqual([old.fingerprint]);
    for (const name of certificateNames) expect(seen.seen).toMatchObject({ [`first ${name}`]: first, [`second ${name}`]: [old.fingerprint] });
    // The next renewal heals it: nothing of the fault is left in what Fairlead keeps.
    await fs.access(join(renewal.backupPath ?? '', 'key.pem'));
  }, limitMs);

  test('the disk is full at the switch: the old certificate stays, is proven, and the report says what to do', async () => {
    const disk = await fs.mkdtemp(join(tmpdir(), 'fairlead-full-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m,nr_inodes=4000', 'tmpfs', disk]);
    try {
      bed = await createCertificateBed(nginx, { root: disk });
      await bed.serve();
      const [old, next] = [await issue(), await issue()];
      await bed.renew(old);
      const version = await bed.active();
      const load = during(loadOf(bed));
      const watch = during(watchHandshakes(bed.targets));
      const renewal = await bed.renew(next, {
        before: {
          switchCertificate: async () => {
            await fs.mkdir(join(disk, 'ballast'));
            for (let count = 0; ; count += 1) if (await fs.writeFile(join(disk, 'ballast', String(count)), '').then(() => false, () => true)) break;
          },
        },
      });
      const [result, seen] = [await load.stop(), await watch.stop()];
      expect(renewal).toMatchObject({ outcome: 'rolled_back', reason: { class: 'host', code: 'disk_full', hint: expect.stringContaining('df') } });
      expect(fingerprintsOf(renewal)).toEqual([old.fingerprint]);
      expect(await bed.active()).toBe(version);
      expect(seen).toMatchObject({ failed: [], seen: everywhere(old.fingerprint) });
      expect(result.failed).toEqual([]);
    } finally {
      await endBeside();
      await bed.end();
      await run('umount', [disk]);
      await fs.rm(disk, { recursive: true });
    }
  }, limitMs);
});
