import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuditSigner, sha256Hex } from '../../../src/adapters/audit-signature/ed25519.ts';
import { chainRow, emptyChain, type AuditRow } from '../../../src/domain/audit/chain.ts';
import { checkpointText, nextCheckpoint, type AuditCheckpoint } from '../../../src/domain/audit/checkpoint.ts';
import { exportLines } from '../../../src/domain/audit/export.ts';
import type { RunEvent } from '../../../src/domain/run/event.ts';
import type { Outcome } from '../../../src/domain/run/report.ts';
import { command } from '../../support/command-line.ts';
import { startFakeApi } from '../../support/fake-api.ts';
import type { Answer, SeenRequest } from '../../support/fake-api.ts';
import { sampleReport } from './sample-report.ts';

type Routes = Parameters<typeof startFakeApi>[0];

let stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops) await stop();
  stops = [];
});

async function withApi(routes: Routes) {
  const api = await startFakeApi(routes);
  stops.push(() => api.stop());
  const env = { FAIRLEAD_API_URL: api.url, FAIRLEAD_API_KEY: 'fl_admin_secret' };
  return { ...api, env, run: (argv: string[], more: Parameters<typeof command>[1] = {}) => command(argv, { env, ...more }) };
}

const links = { self: '/api/runs/run-1', events: '/api/runs/run-1/events', temporalUi: null };
const accepted: Answer = { status: 202, json: { runId: 'run-1', workflowId: 'host/h1/lab', host: 'h1', product: 'lab', releaseId: 'r2', links } };
const event = (sequence: number, kind: RunEvent['kind'], message: string): string =>
  `id: ${sequence}\nevent: ${kind}\ndata: ${JSON.stringify({ runId: 'run-1', sequence, at: '2026-11-21T03:12:20.000Z', kind, step: null, message, data: {} })}\n\n`;

/** A run that goes two events far and then ends with `outcome`. */
function runRoutes(outcome: Outcome): Routes {
  let ended = false;
  return {
    'POST /api/updates/apply': accepted,
    'GET /api/runs/run-1': () => ({ status: 200, json: { report: ended ? sampleReport(outcome) : null } }),
    'GET /api/runs/run-1/events': {
      stream: (response) => {
        response.write(event(1, 'run_started', 'begins'));
        ended = true;
        response.end(event(2, 'run_ended', 'is over'));
      },
    },
  };
}

const apply = ['update', 'apply', 'r2', '--host', 'h1', '--product', 'lab'];

describe('update apply', () => {
  test.each<[Outcome, number]>([
    ['succeeded', 0],
    ['unchanged', 0],
    ['cancelled', 2],
    ['refused', 3],
    ['rolled_back', 5],
    ['stranded', 6],
  ])('a run that ends %s: exit code %i, and with --json exactly the report on standard output', async (outcome, code) => {
    const { run, seen } = await withApi(runRoutes(outcome));
    const result = await run([...apply, '--json']);
    expect(result.code).toBe(code);
    expect(JSON.parse(result.out)).toEqual(sampleReport(outcome));
    expect(result.notes).toContain('03:12:20 > begins');
    expect(seen[0]).toMatchObject({ path: '/api/updates/apply', headers: { authorization: 'Bearer fl_admin_secret' } });
    expect(JSON.parse(seen[0]!.body)).toEqual({ host: 'h1', product: 'lab', releaseId: 'r2' });
  });

  test('the connection breaks off in the middle: goes on after the last event, each event is told once', async () => {
    let connections = 0;
    const resumed: unknown[] = [];
    const { run } = await withApi({
      ...runRoutes('succeeded'),
      'GET /api/runs/run-1': () => ({ status: 200, json: { report: connections > 1 ? sampleReport('succeeded') : null } }),
      'GET /api/runs/run-1/events': {
        stream: (response, request: SeenRequest) => {
          connections += 1;
          resumed.push(request.headers['last-event-id']);
          response.write(event(1, 'run_started', 'begins'));
          if (connections === 1) setTimeout(() => response.destroy(), 20);
          else response.end(event(2, 'run_ended', 'is over'));
        },
      },
    });
    const { code, notes } = await run(apply);
    expect(code).toBe(0);
    expect(resumed).toEqual([undefined, '1']);
    expect(notes.match(/begins/g)).toHaveLength(1);
    expect(notes).toContain('the run goes on without it');
  });

  test('--detach: prints the run and leaves at once', async () => {
    const { run, seen } = await withApi({ 'POST /api/updates/apply': accepted });
    expect(await run([...apply, '--detach'])).toMatchObject({ code: 0, out: 'run-1\n', notes: expect.stringContaining('fairlead runs watch run-1') });
    expect(seen).toHaveLength(1);
  });

  test('--timeout: leaves with 8 while the run goes on, prints nothing on standard output, says how to come back', async () => {
    const { run } = await withApi({ ...runRoutes('succeeded'), 'GET /api/runs/run-1/events': { stream: (response) => void response.write(event(1, 'run_started', 'begins')) } });
    const result = await run([...apply, '--timeout', '0.2', '--json']);
    expect(result).toMatchObject({ code: 8, out: '' });
    expect(result.notes).toContain('fairlead runs watch run-1');
  });

  test('Ctrl-C: detaches, does not cancel the run, says how to come back and how to cancel', async () => {
    const interrupt = new AbortController();
    const { run, seen } = await withApi({ ...runRoutes('succeeded'), 'GET /api/runs/run-1/events': { stream: (response) => void response.write(event(1, 'run_started', 'begins')) } });
    const result = await run(apply, { interrupted: interrupt.signal, onNote: (line) => void (line.includes('begins') && interrupt.abort()) });
    expect(result.code).toBe(8);
    expect(result.notes).toContain('detached; the run goes on');
    expect(result.notes).toContain('fairlead runs cancel run-1');
    expect(seen.map(({ method, path }) => `${method} ${path}`)).not.toContain('POST /api/runs/run-1/cancel');
  });

  test('the answer to the request is lost: the repetition carries the same Idempotency-Key', async () => {
    let calls = 0;
    const { run, seen } = await withApi({ 'POST /api/updates/apply': () => ((calls += 1) === 1 ? 'hang up' : accepted) });
    expect((await run([...apply, '--detach'])).code).toBe(0);
    const keys = seen.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('without a product, the only one that is installed on the host is taken', async () => {
    const { run, seen } = await withApi({ 'GET /api/hosts': { status: 200, json: { hosts: [{ host: 'h1', products: [{ product: 'lab', state: {} }] }] } }, 'POST /api/updates/apply': accepted });
    expect((await run(['update', 'apply', 'r2', '--detach'])).code).toBe(0);
    expect(JSON.parse(seen.at(-1)!.body)).toEqual({ host: 'h1', product: 'lab', releaseId: 'r2' });
  });

  test('of two hosts only one is connected: that one is taken; of two that are connected none', async () => {
    const hosts = (second: string): Answer => ({ status: 200, json: { hosts: [{ host: 'h1', status: 'connected', products: [] }, { host: 'h2', status: second, products: [] }] } });
    const one = await withApi({ 'GET /api/hosts': hosts('disconnected'), 'POST /api/updates/apply': accepted });
    expect((await one.run(['update', 'apply', 'r2', '--product', 'lab', '--detach'])).code).toBe(0);
    expect(JSON.parse(one.seen.at(-1)!.body)).toMatchObject({ host: 'h1' });
    const two = await withApi({ 'GET /api/hosts': hosts('connected') });
    expect(await two.run(['update', 'apply', 'r2', '--product', 'lab'])).toMatchObject({ code: 64, notes: expect.stringMatching(/--host\n {2}h1\n {2}h2/) });
  });

  test('nothing installed yet: the only product of the catalog is taken, and of several none', async () => {
    const hosts: Answer = { status: 200, json: { hosts: [{ host: 'h1', products: [] }] } };
    const one = await withApi({ 'GET /api/hosts': hosts, 'GET /api/releases?limit=200': { status: 200, json: { releases: [{ product: 'lab' }, { product: 'lab' }] } }, 'POST /api/updates/apply': accepted });
    expect((await one.run(['update', 'apply', 'r2', '--detach'])).code).toBe(0);
    const two = await withApi({ 'GET /api/hosts': hosts, 'GET /api/releases?limit=200': { status: 200, json: { releases: [{ product: 'lab' }, { product: 'other' }] } } });
    expect(await two.run(['update', 'apply', 'r2'])).toMatchObject({ code: 64, notes: expect.stringMatching(/--product\n {2}lab\n {2}other/) });
  });

  test('two releases are named: refused before anything is asked', async () => {
    const { run, seen } = await withApi({});
    expect(await run([...apply, '--release', 'r3'])).toMatchObject({ code: 64, notes: expect.stringContaining('r2 and --release r3') });
    expect(seen).toEqual([]);
  });
});

test.each<[number, number]>([
  [400, 64],
  [401, 4],
  [403, 4],
  [404, 3],
  [409, 3],
  [422, 3],
  [500, 1],
])('the API answers %i: exit code %i, with its reason and its hint', async (status, code) => {
  const { run } = await withApi({ 'POST /api/updates/apply': { status, json: { code: 'some_code', detail: 'What was wrong.', hint: 'What to do.' } } });
  const result = await run(apply);
  expect(result).toMatchObject({ code, out: '' });
  expect(result.notes).toContain('What was wrong. (some_code)');
  expect(result.notes).toContain('What to do.');
});

test('another run holds the host: says which one, and how to watch it', async () => {
  const { run } = await withApi({ 'POST /api/updates/apply': { status: 409, json: { code: 'run_in_progress', detail: 'h1 is busy.', hint: null, holdingRunId: 'run-0' } } });
  expect(await run(apply)).toMatchObject({ code: 3, notes: expect.stringContaining('fairlead runs watch run-0') });
});

test('release publish: the file byte for byte, of whatever size, without a signature where none is wanted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-cli-'));
  stops.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'r1.tar.gz');
  writeFileSync(file, 'x'.repeat(12_345));
  const artifact = { product: 'lab', releaseId: 'r1', role: 'node', profile: 'default' };
  const { run, seen } = await withApi({ 'POST /api/releases': { status: 201, json: { state: 'published', artifact, links: {} } } });
  expect(await run(['release', 'publish', file, '--no-sign'])).toMatchObject({ code: 0, out: 'published lab r1 (node, default)\n' });
  expect(seen[0]).toMatchObject({ body: 'x'.repeat(12_345), headers: { 'content-type': 'application/octet-stream', 'content-length': '12345' } });
  expect(seen[0]!.headers['x-fairlead-signature']).toBeUndefined();
  expect(await run(['release', 'publish', join(folder, 'gone'), '--no-sign'])).toMatchObject({ code: 64, out: '' });
});

describe('the audit', () => {
  test('verify of a broken chain: says what and where, exit code 1', async () => {
    const problems = [{ where: 'row 4', sequence: 4, why: 'its hash does not fit' }, { where: 'checkpoint 2', sequence: 8, why: 'forged' }];
    const { run } = await withApi({ 'POST /api/audit/verify': { status: 200, json: { rows: 9, checkpoints: 2, signaturesChecked: true, rowsSinceCheckpoint: 1, ok: false, problems } } });
    expect(await run(['audit', 'verify'])).toMatchObject({ code: 1, out: 'BROKEN at row 4: its hash does not fit\nBROKEN at checkpoint 2: forged\n9 rows and 2 checkpoints were read\n' });
  });

  test('list: asked for by whom, about what and when; each row says in a line what it is about', async () => {
    const row = (sequence: number, event: string, detail: object) => ({ sequence, at: '2026-11-21T09:00:00.000Z', event, actor: 'ops (admin)', subject: 'host/h1/lab', runId: null, detail, previousHash: '', hash: '' });
    const rows = [row(7, 'run.intended', { fromReleaseId: 'r1', toReleaseId: 'r2', strategy: 'rolling' }), row(8, 'run.ended', { outcome: 'rolled_back', reason: { code: 'instance_crashed' }, fromReleaseId: null, toReleaseId: 'r2' }), row(9, 'request.intended', { request: 'POST /api/keys', reason: 'for CI' }), row(10, 'host.away', { since: 'x'.repeat(99) })];
    const { run, seen } = await withApi({ 'GET /api/audit': { status: 200, json: { rows, nextAfterSequence: 10 } } });
    const { code, out, notes } = await run(['audit', 'list', '--host', 'h1', '--actor', 'ops', '--event', 'run', '--since', '2026-11-21', '--until', '2026-11-22T00:00:00+01:00', '--limit', '4']);
    expect([code, notes]).toEqual([0, expect.stringContaining('the latest 4')]);
    expect(Object.fromEntries(new URL(seen[0]!.path, 'http://x').searchParams)).toEqual({ host: 'h1', actor: 'ops', event: 'run', since: '2026-11-21T00:00:00.000Z', until: '2026-11-21T23:00:00.000Z', limit: '4' });
    for (const text of ['r1 → r2', '(nothing) → r2 rolled_back (instance_crashed)', 'POST /api/keys “for CI”', 'since xxx']) expect(out).toContain(text);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThan(190);
    const back = await run(['audit', 'list', '--since', '7d']);
    const asked = Date.parse(new URL(seen[1]!.path, 'http://x').searchParams.get('since') ?? '');
    expect([back.code, Math.round((Date.now() - asked) / 86_400_000)]).toEqual([0, 7]);
    expect(await run(['audit', 'list', '--since', 'yesterday'])).toMatchObject({ code: 64, notes: expect.stringContaining('--since is "yesterday": expected an instant') });
  });

  test('export to a file, 0600, which verifies by itself with a public key; one whose tail was cut does not; a server is not believed either', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-audit-'));
    stops.push(() => rmSync(folder, { recursive: true, force: true }));
    const signer = createAuditSigner(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    const [key, file, saved] = [join(folder, 'audit.pub'), join(folder, 'audit.ndjson'), join(folder, 'saved.json')];
    writeFileSync(key, signer.publicKeyPem);
    const rows: AuditRow[] = [];
    for (let number = 1; number <= 5; number += 1) rows.push(chainRow({ at: '2026-11-21T09:00:00.000Z', event: 'e', actor: 'ci', subject: 's', runId: null, detail: { number } }, rows.at(-1) ?? emptyChain, sha256Hex));
    const unsigned = nextCheckpoint(rows[3]!, null, '2026-11-21T10:00:00.000Z', signer.keyId, sha256Hex);
    const checkpoint = { ...unsigned, signature: signer.sign(checkpointText(unsigned)) };
    const textOf = (some: readonly AuditRow[], checkpoints: readonly AuditCheckpoint[]) => exportLines.start({ exportedAt: '2026-11-21T11:00:00.000Z', head: some.at(-1)! }, checkpoints) + exportLines.rows(some) + exportLines.end({ rows: some.length, checkpoints: checkpoints.length });
    let text = textOf(rows, [checkpoint]);
    const { run } = await withApi({ 'GET /api/audit/export': () => ({ stream: (response) => void response.end(text) }), 'GET /api/audit/checkpoints?limit=1': { status: 200, json: { checkpoints: [checkpoint], nextAfterNumber: 1 } } });
    const whole = 'the chain of 5 rows is whole, and so are 1 checkpoints; 1 rows are newer than the last one\n';

    expect(await run(['audit', 'export', '-o', file])).toMatchObject({ code: 0, out: '' });
    expect([readFileSync(file, 'utf8') === text, statSync(file).mode & 0o777]).toEqual([true, 0o600]);
    expect(await run(['audit', 'verify', '--file', file, '--public-key', key])).toMatchObject({ code: 0, out: whole });
    expect(await run(['audit', 'verify', '--public-key', key])).toMatchObject({ code: 0, out: whole });
    writeFileSync(saved, (await run(['audit', 'checkpoints', '--json'])).out);

    text = textOf(rows.slice(0, 2), []);
    writeFileSync(file, text);
    expect(await run(['audit', 'verify', '--file', file, '--public-key', key])).toMatchObject({ code: 0 });
    for (const from of [['--file', file], []]) {
      const { code, out } = await run(['audit', 'verify', ...from, '--public-key', key, '--checkpoints', saved]);
      expect([code, out]).toEqual([1, expect.stringContaining('BROKEN at row 3: the rows end at 2, and saved checkpoint 1 was signed for row 4: the tail was cut')]);
    }
    expect(await run(['audit', 'verify', '--file', join(folder, 'none')])).toMatchObject({ code: 3 });
  });
});

describe('finding the API', () => {
  function devDirectory(apiUrl: string): string {
    const cwd = mkdtempSync(join(tmpdir(), 'fairlead-cli-'));
    stops.push(() => rmSync(cwd, { recursive: true, force: true }));
    mkdirSync(join(cwd, '.fairlead/dev'), { recursive: true });
    writeFileSync(join(cwd, 'key'), 'fl_admin_of_dev\n');
    writeFileSync(join(cwd, '.fairlead/dev/client.json'), JSON.stringify({ apiUrl, keyFile: join(cwd, 'key'), publisherKeyFile: join(cwd, 'publisher.key') }));
    return cwd;
  }
  const hosts: Routes = { 'GET /api/hosts': { status: 200, json: { hosts: [] } } };

  test('a development instance in the working directory is found by its file, with its key', async () => {
    const { url, seen } = await withApi(hosts);
    expect((await command(['nodes', 'list'], { cwd: devDirectory(url) })).code).toBe(0);
    expect(seen[0]!.headers.authorization).toBe('Bearer fl_admin_of_dev');
  });

  test('an address in the environment wins over the one in the working directory, and does not get its key', async () => {
    const { env, seen } = await withApi(hosts);
    expect((await command(['nodes', 'list'], { cwd: devDirectory('http://127.0.0.1:1'), env })).code).toBe(0);
    expect(seen[0]!.headers.authorization).toBe('Bearer fl_admin_secret');
    const { FAIRLEAD_API_URL } = env;
    expect(await command(['nodes', 'list'], { cwd: devDirectory(FAIRLEAD_API_URL), env: { FAIRLEAD_API_URL } })).toMatchObject({ code: 64, notes: expect.stringContaining('no API key is given') });
    expect(seen).toHaveLength(1);
  });

  test('nothing is known: says where was looked and how to start one', async () => {
    expect(await command(['nodes', 'list'])).toMatchObject({ code: 64, notes: expect.stringMatching(/FAIRLEAD_API_URL[\s\S]*fairlead dev/) });
  });

  test('nothing listens there: names the address and where it came from', async () => {
    const { url, stop } = await startFakeApi({});
    await stop();
    const result = await command(['nodes', 'list', '--api', url], { env: { FAIRLEAD_API_KEY: 'k' } });
    expect(result.code).toBe(1);
    expect(result.notes).toContain(`the API at ${url} cannot be reached: nothing listens there (address from --api)`);
  });
});

describe('usage', () => {
  test.each([[['bogus']], [['update', 'bogus']], [['update', 'apply', '--bogus']], [['runs', 'show']], [['runs', 'cancel', 'run-1']], [['runs', 'list', '--limit', 'many']], [['dev', '--hosts', '0']]])('%j: exit code 64, nothing on standard output', async (argv) => {
    const result = await command(argv, { env: { FAIRLEAD_API_URL: 'http://127.0.0.1:1', FAIRLEAD_API_KEY: 'k' } });
    expect(result).toMatchObject({ code: 64, out: '' });
    expect(result.notes).not.toBe('');
  });

  test('help is data: standard output, exit code 0', async () => {
    expect(await command(['update', 'apply', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('--bake-seconds') });
  });
});

describe('config', () => {
  test('validate names every problem, exit code 64', async () => {
    const result = await command(['config', 'validate', '--role', 'node', '--json']);
    expect(result.code).toBe(64);
    expect(JSON.parse(result.out)).toMatchObject({ ok: false, problems: [{ where: 'api.url' }, { where: 'host.id' }] });
  });
  test('show masks secrets and names sources', async () => {
    const result = await command(['config', 'show', '--role', 'node', '--controller', 'http://c', '--host-id', 'h1'], { env: { FAIRLEAD_API_KEY: 'fl_agent_0123456789abcdef' } });
    expect(result.code).toBe(0);
    expect(result.out).toMatch(/api\.key +fl_a\*\*\*\*cdef +FAIRLEAD_API_KEY/);
    expect(result.out).not.toContain('0123456789');
  });
});

test('serve as a node without a controller is refused before anything starts', async () => {
  expect(await command(['serve', '--role', 'node', '--host-id', 'h1'])).toMatchObject({ code: 64, notes: expect.stringContaining("controller's address") });
});

describe('webhooks', () => {
  const webhook = { id: 'w1', address: 'https://alerts.example.org/****', events: ['run.stranded'], products: [], createdAt: '2026-11-21T03:00:00.000Z', createdBy: 'ci (admin)', disabled: null, waiting: 0, givenUp: 0 };
  const delivery = { id: 'd1', webhookId: 'w1', state: 'waiting', attempts: 0, createdAt: webhook.createdAt, nextAt: webhook.createdAt, lastAt: null, lastAnswer: null, endedAt: null, message: { event: 'webhook.test' } };

  test('add: the secret alone on standard output, what it is told of as it was asked; an event that there is not is a usage error and asks nobody', async () => {
    const { run, seen } = await withApi({ 'POST /api/webhooks': { status: 201, json: { ...webhook, secret: 'whsec_abc' } } });
    const added = await run(['webhooks', 'add', 'https://alerts.example.org/x', '--event', 'run.stranded', '--product', 'lab']);
    expect([added.code, added.out]).toEqual([0, 'whsec_abc\n']);
    expect(JSON.parse(seen[0]!.body)).toEqual({ url: 'https://alerts.example.org/x', events: ['run.stranded'], products: ['lab'] });
    expect((await run(['webhooks', 'add', 'https://alerts.example.org/x', '--event', 'run.dead'])).code).toBe(64);
    expect(seen).toHaveLength(1);
  });

  test.each([
    ['delivered', '204', 0, 'arrived: 204\n'],
    ['waiting', '500 later', 1, 'did not arrive: 500 later\n'],
  ])('test: a first attempt that ended %s (%s): exit code %i', async (state, lastAnswer, code, out) => {
    let looks = 0;
    const { run } = await withApi({
      'POST /api/webhooks/w1/test': { status: 202, json: delivery },
      'GET /api/webhooks/w1/deliveries': () => ({ status: 200, json: { deliveries: [(looks += 1) < 2 ? delivery : { ...delivery, state, attempts: 1, lastAnswer }], nextBefore: null } }),
    });
    expect(await run(['webhooks', 'test', 'w1'])).toMatchObject({ code, out });
  });

  test('test: nobody tries it in time: exit code 8', async () => {
    const { run } = await withApi({ 'POST /api/webhooks/w1/test': { status: 202, json: delivery }, 'GET /api/webhooks/w1/deliveries': { status: 200, json: { deliveries: [delivery], nextBefore: null } } });
    expect((await run(['webhooks', 'test', 'w1', '--timeout', '0'])).code).toBe(8);
  });
});
