import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createAcmeIssuer } from '../../src/adapters/certificate-issuer/acme/index.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { issuerSuite, secretsBelow } from '../support/certificate-issuer-suite.ts';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts';
import { createIssuingBed, issue, pollUntil, reasonOf, type IssuingBed } from '../support/issuing.ts';
import { pebbleIsThere, startPebble, type PebbleOptions, type TestPebble } from '../support/pebble.ts';
import { describeWith } from '../support/requirement.ts';

const commands = createCommandRunner();

describeWith([pebbleIsThere], 'ACME, each step in a process of its own', () => {
  let pebble: TestPebble;
  beforeAll(async () => {
    pebble = await startPebble();
  }, 120_000);
  afterAll(() => pebble?.stop());

  issuerSuite(async () => {
    const proxy = await startFaultProxy(pebble.address, pebble.tls);
    const bed = await createIssuingBed(pebble, () => `${proxy.url}/dir`);
    return {
      issuer: createAcmeIssuer({ directory: bed.directory, commands }),
      request: await bed.request(),
      directory: bed.directory,
      deliver: async () => undefined,
      issued: () => proxy.count(({ path, status }) => path.startsWith('/order-plz') && status === 201),
      end: async () => {
        await bed.end();
        await proxy.stop();
      },
    };
  });

  test('a wildcard by DNS-01: the hook is told to present and to clean up, each with the record and its value', async () => {
    const bed = await createIssuingBed(pebble);
    try {
      const hook = join(bed.webroot, '../hook.mjs');
      await fs.writeFile(hook, dnsHook(pebble.challengeServerUrl, join(bed.webroot, '../hook.log')));
      const challenge = { kind: 'dns-01' as const, hook: [process.execPath, hook], timeoutSeconds: 60 };
      const { facts } = await issue(createAcmeIssuer({ directory: bed.directory, commands }), await bed.request({ names: ['*.example.org', 'example.org'], challenge }));
      expect([...facts.names].sort()).toEqual(['*.example.org', 'example.org']);
      const calls = (await fs.readFile(join(bed.webroot, '../hook.log'), 'utf8')).trim().split('\n').map((line) => line.split(' '));
      expect(calls.map(([verb, name]) => `${verb} ${name}`)).toEqual(['present _acme-challenge.example.org', 'present _acme-challenge.example.org', 'cleanup _acme-challenge.example.org', 'cleanup _acme-challenge.example.org']);
      expect(calls.slice(2).map(([, , value]) => value)).toEqual(calls.slice(0, 2).map(([, , value]) => value));
    } finally {
      await bed.end();
    }
  }, 120_000);

  test('a DNS hook that fails: dns_hook_failed, class host, without what it printed', async () => {
    const bed = await createIssuingBed(pebble);
    try {
      const issuer = createAcmeIssuer({ directory: bed.directory, commands });
      const request = await bed.request({ challenge: { kind: 'dns-01', hook: [process.execPath, '-e', 'console.error("token=hunter2"); process.exit(3)'], timeoutSeconds: 60 } });
      await issuer.order(request, null);
      const reason = await reasonOf(issuer.present(request));
      expect(reason).toMatchObject({ class: 'host', code: 'dns_hook_failed', message: expect.stringContaining('it exited with 3') });
      expect(reason.message).not.toContain('hunter2');
    } finally {
      await bed.end();
    }
  }, 60_000);
});

describeWith([pebbleIsThere], 'an ACME server as it may be set', () => {
  let pebble: TestPebble;
  let proxy: FaultProxy;
  let bed: IssuingBed;
  const given = async (options: PebbleOptions): Promise<void> => {
    pebble = await startPebble(options);
    proxy = await startFaultProxy(pebble.address, pebble.tls);
    bed = await createIssuingBed(pebble, () => `${proxy.url}/dir`);
  };
  afterEach(async () => {
    await bed?.end();
    await proxy?.stop();
    await pebble?.stop();
  }, 60_000);
  const made = (path: string): number => proxy.count((seen) => seen.path.startsWith(path) && seen.status === 201);

  test('nine in ten nonces are rejected: it issues, one order, and asks for a nonce once for each step', async () => {
    await given({ nonceReject: 90 });
    await issue(bed.issuer(), await bed.request());
    expect(made('/order-plz')).toBe(1);
    expect(proxy.count(({ status }) => status === 400)).toBeGreaterThan(20);
    // The polls are steps as well.
    expect(proxy.count(({ method }) => method === 'HEAD')).toBeLessThanOrEqual(proxy.count(({ path }) => path === '/dir'));
  }, 120_000);

  test('accounts need an external one: refused without, and with it one account, whose key stays the same', async () => {
    await given({ externalAccount: true });
    expect(await reasonOf(bed.issuer().order(await bed.request(), null))).toMatchObject({ class: 'request', code: 'external_account_required' });
    const hmacKeyFile = join(bed.webroot, '../mac');
    await fs.writeFile(hmacKeyFile, `${pebble.macKey}\n`);
    const request = await bed.request({ issuer: { externalAccountBinding: { keyIdentifier: 'kid-1', hmacKeyFile } } });
    const first = await issue(bed.issuer(), request);
    const account = (await secretsBelow(join(bed.directory, 'accounts'))).length;
    await bed.issuer().forget(request);
    await issue(bed.issuer(), request, await fs.readFile(join(first.directory, '../../staged/app/cert.pem'), 'utf8').catch(() => null));
    expect(made('/sign-me-up')).toBe(1);
    expect((await secretsBelow(join(bed.directory, 'accounts'))).length).toBe(account);
    for (const name of (await fs.readdir(join(bed.directory, 'accounts'), { recursive: true })).filter((file) => file.endsWith('.pem') || file.endsWith('.json'))) {
      expect(((await fs.stat(join(bed.directory, 'accounts', name))).mode & 0o777).toString(8)).toBe('600');
    }
  }, 60_000);

  test.each([
    { name: 'never reused: each order is proven', authorizationReuse: 0, presented: 2 },
    { name: 'always reused: the second order needs no proof', authorizationReuse: 100, presented: 0 },
  ])('authorizations are $name', async ({ authorizationReuse, presented }) => {
    await given({ authorizationReuse });
    const [issuer, request] = [bed.issuer(), await bed.request()];
    await issue(issuer, request);
    await issuer.forget(request);
    await issuer.order(request, null);
    expect(await issuer.present(request)).toHaveLength(presented);
    await issuer.answer(request);
    await pollUntil(issuer, request, ({ status }) => status === 'ready');
    await issuer.cleanup(request);
    expect(await fs.readdir(join(bed.webroot, '.well-known/acme-challenge'))).toEqual([]);
  }, 60_000);

  test('it is killed in the middle of an order, and knows nothing afterwards: ca_away meanwhile, then the same key makes a new account and a new order', async () => {
    await given({});
    const [issuer, request] = [bed.issuer(), await bed.request()];
    await issuer.order(request, null);
    await issuer.present(request);
    await pebble.kill();
    for (const step of [issuer.answer(request), issuer.poll(request), issuer.order(request, null), issuer.finalize(request)]) expect(await reasonOf(step)).toMatchObject({ class: 'dependency', code: 'ca_away', retryable: true });
    const keys = await secretsBelow(join(bed.directory, 'accounts'));
    await pebble.start();
    const { facts } = await issue(issuer, await bed.request());
    expect(facts.anchor).not.toBeNull();
    expect(await secretsBelow(join(bed.directory, 'accounts'))).toEqual(keys);
    expect([made('/sign-me-up'), made('/order-plz')]).toEqual([2, 2]);
    expect(await fs.readdir(join(bed.webroot, '.well-known/acme-challenge'))).toEqual([]);
  }, 120_000);
});

/** A hook as a person would write one: the challenge server's management interface in place of a DNS provider. */
function dnsHook(server: string, log: string): string {
  return `import { appendFileSync, existsSync, readFileSync } from 'node:fs';
const [verb, name, value] = process.argv.slice(2);
appendFileSync(${JSON.stringify(log)}, [verb, name, value].join(' ') + '\\n');
await fetch(${JSON.stringify(server)} + (verb === 'present' ? '/set-txt' : '/clear-txt'), { method: 'POST', body: JSON.stringify({ host: name + '.', value }) });
`;
}
