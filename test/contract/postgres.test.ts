import { sql } from 'kysely';
import pg from 'pg';
import { createDatabase, createStores, makeKeyText, migrate, pingDatabase } from '../../src/adapters/postgres/index.ts';
import { migrations } from '../../src/adapters/postgres/migrations/index.ts';
import type { Database, Stores } from '../../src/adapters/postgres/index.ts';
import type { HostId, ProductName, ReleaseId, RunId, Sha256 } from '../../src/domain/ids.ts';
import type { RunEvent } from '../../src/domain/run/event.ts';
import { startPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { digestOf, host, product, sampleArtifact, sampleInspection, sampleReport } from '../support/samples.ts';

const allMigrations = migrations.map(({ name }) => name);

let postgres: TestPostgres;
let url: string;
let database: Database;
let stores: Stores;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.end();
});
beforeEach(async () => {
  url = await postgres.createDatabase();
  database = createDatabase(url, { poolSize: 4, connectTimeoutMs: 2_000 });
  await migrate(database);
  stores = createStores(database);
});
afterEach(async () => {
  await database?.close();
});

describe('healings', () => {
  const finding = (subject: string) => ({ kind: 'instance_dead' as const, subject });
  const hour = 3_600_000;

  test('a finding is claimed once within the time, however many ask at once; another finding is another matter', async () => {
    const claims = await Promise.all(Array.from({ length: 4 }, () => stores.healings.claim(host, product, [finding('api-a'), finding('api-b')], hour)));
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
    expect(await stores.healings.claim(host, product, [finding('api-b'), finding('web-a')], hour)).toBeNull();
    expect(await stores.healings.claim(host, product, [finding('web-a')], hour)).not.toBeNull();
    await database.query('ageing', (db) => sql`update healings set tried_at = now() - interval '61 minutes'`.execute(db));
    expect(await stores.healings.claim(host, product, [finding('api-b')], hour)).not.toBeNull();
  });

  test('a withdrawn claim does not count, a failed one does, and a run shows its outcome', async () => {
    await stores.healings.withdraw((await stores.healings.claim(host, product, [finding('api-a')], hour)) ?? '');
    const claim = (await stores.healings.claim(host, product, [finding('api-a')], hour)) ?? '';
    await stores.healings.started(claim, 'run-1' as RunId);
    await stores.healings.withdraw(claim);
    await stores.healings.failed((await stores.healings.claim(host, product, [finding('api-b')], hour)) ?? '', 'why');
    const listed = await stores.healings.list(host, hour);
    expect(listed.map(({ subject, runId, outcome, note }) => [subject, runId, outcome, note])).toEqual([['api-b', null, null, 'why'], ['api-a', 'run-1', null, '']]);
    expect(await stores.healings.list('h9' as HostId, hour)).toEqual([]);
  });

  test('what an agent did itself is noted once, however often it is told', async () => {
    const act = { id: 'a1', at: new Date().toISOString(), act: 'healed' as const, kind: 'config_mode', subject: '/etc/x', note: 'mode 0644 -> 0600' };
    await stores.healings.noteAct(host, product, act);
    await stores.healings.noteAct(host, product, act);
    expect(await stores.healings.list(host, hour)).toMatchObject([{ by: 'host', kind: 'config_mode', subject: '/etc/x', runId: null }]);
  });
});

describe('migrations', () => {
  test('asked by four processes at once: each migration is applied once, and all end well', async () => {
    const fresh = await postgres.createDatabase();
    const databases = Array.from({ length: 4 }, () => createDatabase(fresh, { poolSize: 1 }));
    const results = await Promise.all(databases.map((each) => migrate(each)));
    expect(results.flatMap(({ applied }) => applied)).toEqual(allMigrations);
    expect(results.map(({ roleSeparated }) => roleSeparated)).toEqual([true, true, true, true]);
    await Promise.all(databases.map((each) => each.close()));
  });

  test('asked again: nothing is applied, rows stay', async () => {
    await stores.releases.publish(sampleArtifact('r1'), 'ci');
    expect(await migrate(database)).toEqual({ applied: [], roleSeparated: true });
    expect(await stores.releases.list({ limit: 10 })).toHaveLength(1);
  });

  test('by a user who may not make roles, in a cluster where the role exists: everything works, the triggers still refuse', async () => {
    const plain = createDatabase(await postgres.createPlainDatabase(), { poolSize: 2 });
    expect(await migrate(plain)).toEqual({ applied: allMigrations, roleSeparated: false });
    const audit = createStores(plain).audit;
    await audit.append({ at: new Date().toISOString(), event: 'release.published', actor: 'ci', subject: 's', runId: null, detail: {} });
    await expect(plain.query('editing', (db) => db.updateTable('audit').set({ actor: 'x' }).execute())).rejects.toThrow(/only ever appended/);
    await plain.close();
  });

  test('by a login that is only a member of the application role, after the owner: works, separated, and cannot change the audit', async () => {
    const password = new URL(url).password;
    const login = `only_app_${new URL(url).pathname.slice(-12)}`;
    await database.asOwner('making a login', (db) => sql.raw(`create role ${login} login password '${password}' in role fairlead_app`).execute(db));
    const address = new URL(url);
    address.username = login;
    const limited = createDatabase(address.href, { poolSize: 2 });
    expect(await migrate(limited)).toEqual({ applied: [], roleSeparated: true });
    const audit = createStores(limited).audit;
    await audit.append({ at: new Date().toISOString(), event: 'release.published', actor: 'ci', subject: 's', runId: null, detail: {} });
    await expect(limited.asOwner('switching triggers off', (db) => sql`alter table audit disable trigger all`.execute(db))).rejects.toMatchObject({ code: '42501' });
    expect(await audit.verify()).toMatchObject({ rows: 1, ok: true });
    await limited.close();
  });

  test('not yet run: a store says that the database is not migrated', async () => {
    const bare = createDatabase(await postgres.createDatabase(), { poolSize: 1 });
    await expect(createStores(bare).keys.list()).rejects.toMatchObject({ reason: { code: 'database_not_migrated' }, retryable: true });
    await bare.close();
  });
});

describe('release catalog', () => {
  test('the same bundle published twice: one row, the second is told', async () => {
    expect(await stores.releases.publish(sampleArtifact('r1'), 'ci')).toBe('published');
    expect(await stores.releases.publish(sampleArtifact('r1'), 'ci')).toBe('already_published');
    expect(await stores.releases.list({ limit: 10 })).toHaveLength(1);
  });

  test('published at once by two: one wins, both end well', async () => {
    const results = await Promise.all([stores.releases.publish(sampleArtifact('r1'), 'a'), stores.releases.publish(sampleArtifact('r1'), 'b')]);
    expect(results.sort()).toEqual(['already_published', 'published']);
  });

  test('another bundle under a published release id: refused, the first stays', async () => {
    await stores.releases.publish(sampleArtifact('r1'), 'ci');
    const other = sampleArtifact('r1', { sha256: digestOf('other') });
    await expect(stores.releases.publish(other, 'ci')).rejects.toMatchObject({ reason: { class: 'request', code: 'release_exists' }, retryable: false });
    expect((await stores.releases.find(product, 'r1' as ReleaseId, 'node'))?.sha256).toBe(sampleArtifact('r1').sha256);
  });

  test('an artifact comes back as it was published, by identity and by digest', async () => {
    const artifact = sampleArtifact('r1', { signature: { keyId: '0123456789abcdef', value: 'c2ln' }, sizeBytes: 6 * 2 ** 30 });
    await stores.releases.publish(artifact, 'ci');
    expect(await stores.releases.find(product, artifact.releaseId, 'node')).toEqual(artifact);
    expect(await stores.releases.findByDigest(artifact.sha256)).toEqual(artifact);
    expect(await stores.releases.find(product, artifact.releaseId, 'controller')).toBeNull();
    expect(await stores.releases.findByDigest(digestOf('nothing'))).toBeNull();
  });

  test('a signature that comes later is taken; one that stands is not replaced', async () => {
    const signature = { keyId: '0123456789abcdef', value: 'b25l' };
    await stores.releases.publish(sampleArtifact('r1'), 'ci');
    await stores.releases.publish(sampleArtifact('r1', { signature }), 'ci');
    await stores.releases.publish(sampleArtifact('r1', { signature: { keyId: 'ffffffffffffffff', value: 'dHdv' } }), 'ci');
    expect((await stores.releases.findByDigest(sampleArtifact('r1').sha256))?.signature).toEqual(signature);
  });

  test('two profiles for a role and none named: refused with both names; named: found', async () => {
    await stores.releases.publish(sampleArtifact('r1', { profile: 'small' }), 'ci');
    await stores.releases.publish(sampleArtifact('r1', { profile: 'full' }), 'ci');
    await expect(stores.releases.find(product, 'r1' as ReleaseId, 'node')).rejects.toMatchObject({ reason: { code: 'profile_ambiguous', message: expect.stringContaining('full, small') } });
    expect((await stores.releases.find(product, 'r1' as ReleaseId, 'node', 'small'))?.profile).toBe('small');
  });

  test('listed newest first, page by page, filtered by product and release', async () => {
    for (const releaseId of ['r1', 'r2', 'r3']) await stores.releases.publish(sampleArtifact(releaseId), 'ci');
    await stores.releases.publish(sampleArtifact('x1', { product: 'other' as ProductName }), 'ci');
    const first = await stores.releases.list({ product, limit: 2 });
    expect(first.map((release) => release.releaseId)).toEqual(['r3', 'r2']);
    const second = await stores.releases.list({ product, limit: 2, before: first[1]!.sha256 });
    expect(second.map((release) => release.releaseId)).toEqual(['r1']);
    expect((await stores.releases.list({ releaseId: 'x1' as ReleaseId, limit: 9 })).map((release) => release.product)).toEqual(['other']);
  });
});

describe('host registry', () => {
  const beat = { host, role: 'node' as const, agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')] };

  test('a host that said hello is connected, with what it told', async () => {
    await stores.hosts.hello(beat);
    expect(await stores.hosts.find(host)).toMatchObject({ host, role: 'node', status: 'connected', bootId: 'b1', products: [sampleInspection('r1')] });
    expect(await stores.hosts.find('h9' as HostId)).toBeNull();
  });

  test('silent for 46 s: disconnected; the next word connects it, and when it was first seen stays', async () => {
    await stores.hosts.hello(beat);
    const before = await stores.hosts.find(host);
    await database.query('ageing', (db) => sql`update hosts set last_seen_at = now() - interval '46 seconds'`.execute(db));
    expect((await stores.hosts.list()).map((row) => row.status)).toEqual(['disconnected']);
    await stores.hosts.hello({ ...beat, bootId: 'b2' });
    expect(await stores.hosts.find(host)).toMatchObject({ status: 'connected', bootId: 'b2', firstSeenAt: before!.firstSeenAt });
  });

  test('silent for 40 s: still connected', async () => {
    await stores.hosts.hello(beat);
    await database.query('ageing', (db) => sql`update hosts set last_seen_at = now() - interval '40 seconds'`.execute(db));
    expect((await stores.hosts.find(host))?.status).toBe('connected');
  });
});

describe('run store', () => {
  const opened = (runId: string) => ({
    runId: runId as RunId,
    workflowId: `host/${host}/${product}`,
    kind: 'update-apply' as const,
    host,
    product,
    toReleaseId: 'r2' as ReleaseId,
    requestedBy: 'ci (admin)',
    requestedAt: '2026-11-21T09:00:00.000Z',
  });
  const event = (runId: string, sequence: number, kind: RunEvent['kind'] = 'step_ended'): RunEvent => ({
    runId: runId as RunId,
    sequence,
    at: '2026-11-21T09:00:01.000Z',
    kind,
    step: kind === 'step_ended' ? 'activate' : null,
    message: `event ${sequence}`,
    data: { sequence },
  });

  test('opened twice: the same fence; the next run gets a higher one', async () => {
    const first = await stores.runs.open(opened('a'));
    expect(await stores.runs.open(opened('a'))).toEqual(first);
    const second = await stores.runs.open(opened('b'));
    expect(second.fence).toBeGreaterThan(first.fence);
  });

  test('that waited for its turn takes a fence above all that were given meanwhile; the one that it was opened with is not given back', async () => {
    const waiting = await stores.runs.open(opened('waiting'));
    const between = await stores.runs.open(opened('between'));
    const renewed = await stores.runs.renewFence('waiting' as RunId);
    expect(renewed.fence).toBeGreaterThan(between.fence);
    expect(await stores.runs.open(opened('waiting'))).toEqual(renewed);
    expect(waiting.fence).toBeLessThan(between.fence);
  });
  /** Guarantee 6. */
  test('opened by eight at once: every fence is another one', async () => {
    const fences = await Promise.all(Array.from({ length: 8 }, (_, number) => stores.runs.open(opened(`run-${number}`))));
    expect(new Set(fences.map(({ fence }) => fence)).size).toBe(8);
  });

  test('closed twice: the first report stays', async () => {
    await stores.runs.open(opened('a'));
    await stores.runs.close(sampleReport('a', { outcome: 'rolled_back' }));
    await stores.runs.close(sampleReport('a', { outcome: 'succeeded' }));
    expect(await stores.runs.find('a' as RunId)).toMatchObject({ outcome: 'rolled_back', fromReleaseId: 'r1', report: sampleReport('a', { outcome: 'rolled_back' }) });
  });

  test('never opened because the database was away: the report is kept all the same', async () => {
    await stores.runs.close(sampleReport('late'));
    expect(await stores.runs.find('late' as RunId)).toMatchObject({ outcome: 'succeeded', host, requestedBy: 'ci (admin)' });
  });

  test('evidence with NUL bytes and half a surrogate pair does not lose the report', async () => {
    const evidence = [{ kind: 'log' as const, at: '2026-11-21T09:00:00.000Z', instance: 'api-a', path: '/log', lines: ['a\0b', 'c\ud800d'] }];
    await stores.runs.close(sampleReport('a', { evidence }));
    expect((await stores.runs.find('a' as RunId))?.report?.evidence).toEqual([{ ...evidence[0], lines: ['a\ufffdb', 'c\ufffdd'] }]);
  });

  test('events told twice and out of order: each once, in order, after the given one', async () => {
    await stores.runs.appendEvents([event('a', 2), event('a', 1)]);
    await stores.runs.appendEvents([event('a', 2), event('a', 3)]);
    await stores.runs.appendEvents([]);
    expect(await stores.runs.events('a' as RunId, 1, 10)).toEqual([event('a', 2), event('a', 3)]);
    expect(await stores.runs.events('a' as RunId, 0, 2)).toHaveLength(2);
  });

  test('recovered after its end: marked once, told once at the end of the story', async () => {
    await stores.runs.open(opened('a'));
    await stores.runs.close(sampleReport('a', { outcome: 'stranded' }));
    await stores.runs.appendEvents([event('a', 1, 'run_ended')]);
    await stores.runs.markRecovered('a' as RunId, '2026-11-21T10:00:00.000Z', { releaseId: 'r1' });
    await stores.runs.markRecovered('a' as RunId, '2026-11-21T11:00:00.000Z', { releaseId: 'r9' });
    expect((await stores.runs.find('a' as RunId))?.recoveredAt).toBe('2026-11-21T10:00:00.000Z');
    expect((await stores.runs.events('a' as RunId, 1, 10)).map(({ kind, sequence, data }) => ({ kind, sequence, data }))).toEqual([{ kind: 'recovered', sequence: 2, data: { releaseId: 'r1' } }]);
  });

  test('recovered while its run is open: the run keeps its numbers, and the recovery is told behind its end', async () => {
    await stores.runs.open(opened('a'));
    await stores.runs.appendEvents([event('a', 1)]);
    await stores.runs.markRecovered('a' as RunId, '2026-11-21T10:00:00.000Z', {});
    await stores.runs.appendEvents([event('a', 2, 'run_ended')]);
    expect((await stores.runs.events('a' as RunId, 0, 10)).map(({ kind }) => kind)).toEqual(['step_ended', 'run_ended', 'recovered']);
  });

  test('listed newest first, page by page, filtered by host and outcome; counted by outcome', async () => {
    for (const runId of ['a', 'b', 'c']) await stores.runs.open(opened(runId));
    await stores.runs.open({ ...opened('d'), host: 'h2' as HostId });
    await stores.runs.close(sampleReport('b', { outcome: 'stranded' }));
    const first = await stores.runs.list({ host, limit: 2 });
    expect(first.map((run) => run.runId)).toEqual(['c', 'b']);
    expect((await stores.runs.list({ host, limit: 2, before: 'b' })).map((run) => run.runId)).toEqual(['a']);
    expect((await stores.runs.list({ outcome: 'stranded', limit: 9 })).map((run) => run.runId)).toEqual(['b']);
    expect(await stores.statistics.runsByOutcome()).toEqual({ running: 3, stranded: 1 });
  });
});

describe('key store', () => {
  test('a new key is who it says; its text is nowhere in the database', async () => {
    const { identity, text } = await stores.keys.create('ci', 'admin');
    expect(text).toMatch(/^fl_admin_[A-Za-z0-9_-]{49}$/);
    expect(await stores.keys.identify(text)).toEqual(identity);
    const rows = await database.query('reading', (db) => sql<{ row: string }>`select row_to_json(api_keys)::text as row from api_keys`.execute(db));
    expect(JSON.stringify(rows.rows)).not.toContain(text.slice(9));
    expect((await stores.keys.list())[0]).toMatchObject({ name: 'ci', role: 'admin', masked: `${text.slice(9, 13)}****${text.slice(-4)}`, revokedAt: null });
  });

  test('one character changed, at any place: nobody', async () => {
    const { text } = await stores.keys.create('ci', 'admin');
    for (let place = 0; place < text.length; place += 1) {
      const changed = `${text.slice(0, place)}${text[place] === 'A' ? 'B' : 'A'}${text.slice(place + 1)}`;
      expect(await stores.keys.identify(changed)).toBeNull();
    }
  });

  test('valid in form but never kept: nobody', async () => expect(await stores.keys.identify(makeKeyText('admin'))).toBeNull());

  test('revoked: nobody from then on; revoking again changes nothing; registering it again is refused', async () => {
    const { identity, text } = await stores.keys.create('ci', 'agent');
    expect(await stores.keys.revoke(identity.id)).toBe('revoked');
    const first = (await stores.keys.list())[0]?.revokedAt;
    expect(await stores.keys.revoke(identity.id)).toBe('revoked');
    expect((await stores.keys.list())[0]?.revokedAt).toBe(first);
    expect(await stores.keys.identify(text)).toBeNull();
    expect(await stores.keys.revoke('none')).toBe('not_found');
    await expect(stores.keys.create('ci', 'agent', { text })).rejects.toMatchObject({ reason: { code: 'key_revoked' } });
  });

  test('a given text registered by two processes at once: one key', async () => {
    const text = makeKeyText('agent');
    const [one, two] = await Promise.all([stores.keys.create('h1', 'agent', { text }), stores.keys.create('h1', 'agent', { text })]);
    expect(one.identity).toEqual(two.identity);
    expect(await stores.keys.list()).toHaveLength(1);
  });

  test.each([['no key at all', 'hunter2'], ['of another role', makeKeyText('agent')]])('a given text that is %s: refused', async (_what, text) => {
    await expect(stores.keys.create('ci', 'admin', { text })).rejects.toMatchObject({ reason: { class: 'request', code: 'invalid_key', message: expect.not.stringContaining(text) } });
  });
});

describe('idempotency store', () => {
  const claim = { key: 'k', caller: 'c', fingerprint: 'f' };

  test('claimed, under way, answered: each said; another request under the key is a mismatch', async () => {
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'claimed' });
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'under_way' });
    await stores.idempotency.answer(claim, { status: 202, body: { runId: 'a' } });
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'answered', answer: { status: 202, body: { runId: 'a' } } });
    expect(await stores.idempotency.claim({ ...claim, fingerprint: 'other' })).toEqual({ state: 'mismatch' });
    expect(await stores.idempotency.claim({ ...claim, caller: 'other' })).toEqual({ state: 'claimed' });
  });

  test('claimed by ten at once: one may act', async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => stores.idempotency.claim(claim)));
    expect(results.filter(({ state }) => state === 'claimed')).toHaveLength(1);
  });

  test('given back, or its process died two minutes ago: may be claimed again; an answer is kept for a day', async () => {
    await stores.idempotency.claim(claim);
    await stores.idempotency.release(claim);
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'claimed' });
    await database.query('ageing', (db) => sql`update idempotency set claimed_at = now() - interval '121 seconds'`.execute(db));
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'claimed' });
    await stores.idempotency.answer(claim, { status: 200, body: null });
    await database.query('ageing', (db) => sql`update idempotency set claimed_at = now() - interval '23 hours'`.execute(db));
    expect((await stores.idempotency.claim(claim)).state).toBe('answered');
    await database.query('ageing', (db) => sql`update idempotency set claimed_at = now() - interval '25 hours'`.execute(db));
    expect(await stores.idempotency.claim(claim)).toEqual({ state: 'claimed' });
  });
});

describe('PostgreSQL away', () => {
  test('nothing listens: a retryable failure of class dependency with address and hint, without the password', async () => {
    const away = createDatabase('postgres://fairlead:hunter2@127.0.0.1:1/fairlead', { poolSize: 1, connectTimeoutMs: 500 });
    const error = await createStores(away).runs.find('a' as RunId).then(() => null, (reason: unknown) => reason);
    expect(error).toMatchObject({ retryable: true, reason: { class: 'dependency', code: 'database_unavailable', hint: expect.stringContaining('pg_isready') } });
    expect((error as Error).message).toContain('postgres://fairlead@127.0.0.1:1/fairlead');
    expect(JSON.stringify(error)).not.toContain('hunter2');
    await away.close();
  });

  test('wrong password: said so, the password is not repeated', async () => {
    const wrong = createDatabase(url.replace(/postgres:\/\/postgres:[^@]+@/, 'postgres://postgres:hunter2@'), { poolSize: 1 });
    await expect(createStores(wrong).keys.list()).rejects.toMatchObject({ reason: { class: 'dependency', code: 'database_refused', message: expect.not.stringContaining('hunter2') } });
    await wrong.close();
  });

  test('every connection of the pool cut while idle and in the middle of a statement: the same pool works on', async () => {
    await Promise.all(Array.from({ length: 4 }, () => pingDatabase(database)));
    const slow = database.query('sleeping', (db) => sql`select pg_sleep(20)`.execute(db));
    const cut = expect(slow).rejects.toMatchObject({ reason: { code: 'database_unavailable' }, retryable: true });
    await cutConnections(url);
    await cut;
    await recovers();
  });

  test('the server stopped and started again: failures in between are retryable, the same pool works on, no fence is given twice', async () => {
    const run = (runId: string) => stores.runs.open({ runId: runId as RunId, workflowId: 'w', kind: 'update-apply', host, product, toReleaseId: 'r1' as ReleaseId, requestedBy: 'ci', requestedAt: new Date().toISOString() });
    const before = await run('before');
    await postgres.stop();
    try {
      await expect(run('away')).rejects.toMatchObject({ retryable: true, reason: { class: 'dependency', code: 'database_unavailable' } });
    } finally {
      await postgres.restart();
    }
    await recovers();
    expect((await run('after')).fence).toBeGreaterThan(before.fence);
  });

  /** A pool may hold one more dead connection that nobody has touched; asking a few times is what every caller does. */
  async function recovers(): Promise<void> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      try {
        return await pingDatabase(database);
      } catch (error) {
        expect(error).toMatchObject({ retryable: true });
        if (Date.now() > deadline) throw error;
      }
    }
  }

  async function cutConnections(address: string): Promise<void> {
    const client = new pg.Client(address);
    await client.connect();
    try {
      for (;;) {
        const busy = await client.query("select 1 from pg_stat_activity where datname = current_database() and query like '%pg_sleep(20)%' and pid <> pg_backend_pid() and state = 'active'");
        if (busy.rowCount === 1) break;
      }
      await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()');
    } finally {
      await client.end();
    }
  }
});

test('a digest that is none finds nothing and does no harm', async () => {
  expect(await stores.releases.findByDigest("' or 1=1 --" as Sha256)).toBeNull();
});
