import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { createAuditSigner, createSignatureCheck } from '../../src/adapters/audit-signature/ed25519.ts';
import { createDatabase, createStores, migrate } from '../../src/adapters/postgres/index.ts';
import type { Database, Stores } from '../../src/adapters/postgres/index.ts';
import type { AuditCheckpoint } from '../../src/domain/audit/checkpoint.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { createLogger } from '../../src/adapters/logger.ts';
import { auditPart, createCheckpoints } from '../../src/runtime/audit-part.ts';
import { startPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';

let postgres: TestPostgres;
let url: string;
let database: Database;
let audit: Stores['audit'];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.end();
});
beforeEach(async () => {
  url = await postgres.createDatabase();
  database = createDatabase(url, { poolSize: 8 });
  await migrate(database);
  audit = createStores(database).audit;
});
afterEach(async () => {
  await database?.close();
});

const entry = (number: number) => ({
  at: `2026-11-21T09:00:0${number % 10}.123+01:00`,
  event: 'run.intended',
  actor: 'ci (admin)',
  subject: `host/h${number}/lab`,
  runId: `run-${number}`,
  detail: { number, z: { b: 1.5, a: ['ü', null] }, nul: 'a\0b', gone: undefined },
});
const append = async (count: number): Promise<void> => {
  for (let number = 1; number <= count; number += 1) await audit.append(entry(number));
};

/** As somebody who has taken the database over: superuser, triggers off. */
async function tamper(...statements: string[]): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query('alter table audit disable trigger all');
    for (const statement of statements) await client.query(statement);
    await client.query('alter table audit enable trigger all');
  } finally {
    await client.end();
  }
}

test('rows come back as they were chained, and verify', async () => {
  await append(3);
  expect(await audit.verify()).toMatchObject({ rows: 3, ok: true, problems: [] });
  const rows = await audit.list({ limit: 2 });
  expect(rows.map((row) => row.sequence)).toEqual([2, 3]);
  expect(rows[1]).toMatchObject({ at: '2026-11-21T08:00:03.123Z', previousHash: rows[0]!.hash, detail: { number: 3, nul: 'a\ufffdb' } });
  expect((await audit.list({ limit: 9, afterSequence: 1 })).map((row) => row.sequence)).toEqual([2, 3]);
  expect((await audit.list({ limit: 9, runId: 'run-2' })).map((row) => row.sequence)).toEqual([2]);
  expect((await audit.list({ limit: 9, subject: 'host/h3/lab' })).map((row) => row.sequence)).toEqual([3]);
});

test('rows are found by whom, by what, about which host, and when; all that is asked for has to be true', async () => {
  const rows: readonly (readonly [at: string, event: string, actor: string, subject: string])[] = [
    ['2026-11-20T23:59:59.999Z', 'run.intended', 'ops (operator)', 'host/h1/lab'],
    ['2026-11-21T00:00:00.000Z', 'run.ended', 'fairlead', 'host/h1/lab'],
    ['2026-11-21T01:00:00.000Z', 'certificate.expiring', 'fairlead', 'certificate/h1/lab'],
    ['2026-11-21T02:00:00.000Z', 'runs', 'ops-2 (admin)', 'host/h10/lab'],
    ['2026-11-21T03:00:00.000Z', 'host.maintenance_ended', 'ops (admin)', 'host/h1'],
    ['2026-11-21T04:00:00.000Z', 'release.published', 'ops (admin)', 'release/h1/r1'],
  ];
  for (const [at, event, actor, subject] of rows) await audit.append({ at, event, actor, subject, runId: null, detail: {} });
  const found = async (filter: Omit<Parameters<Stores['audit']['list']>[0], 'limit'>) => (await audit.list({ limit: 9, ...filter })).map((row) => row.sequence);
  expect(await found({ actor: 'ops' })).toEqual([1, 5, 6]);
  expect(await found({ actor: 'ops (admin)' })).toEqual([5, 6]);
  expect(await found({ actor: 'op%' })).toEqual([]);
  expect(await found({ event: 'run' })).toEqual([1, 2]);
  expect(await found({ event: 'run.ended' })).toEqual([2]);
  expect(await found({ host: 'h1' as HostId })).toEqual([1, 2, 3, 5]);
  expect(await found({ since: '2026-11-21T00:00:00Z' })).toEqual([2, 3, 4, 5, 6]);
  expect(await found({ until: '2026-11-21T00:00:00Z' })).toEqual([1]);
  expect(await found({ since: '2026-11-21T01:00:00+01:00', until: '2026-11-21T02:00:00Z' })).toEqual([2, 3]);
  expect(await found({ actor: 'ops', host: 'h1' as HostId, since: '2026-11-21T00:00:00Z' })).toEqual([5]);
  expect(await audit.list({ limit: 1, host: 'h1' as HostId })).toMatchObject([{ sequence: 5 }]);
});

test('no row at all verifies', async () => expect(await audit.verify()).toMatchObject({ rows: 0, ok: true, problems: [] }));

/** Guarantee 4. */
test('appended by twenty at once: one chain without gaps', async () => {
  await Promise.all(Array.from({ length: 20 }, (_, number) => audit.append(entry(number))));
  expect(await audit.verify()).toMatchObject({ rows: 20, ok: true, problems: [] });
});

test('the same key appended again, also by five at once: one row, the same answer', async () => {
  const rows = await Promise.all(Array.from({ length: 5 }, () => audit.append(entry(1), 'run-1/intended')));
  expect(new Set(rows.map((row) => row.hash)).size).toBe(1);
  expect(await audit.append(entry(2), 'run-1/intended')).toEqual(rows[0]);
  expect(await audit.verify()).toMatchObject({ rows: 1, ok: true });
});

test('more rows than one batch verify; rows appended meanwhile are neither missing nor too many', async () => {
  await append(1);
  const writing = append(30);
  expect(await audit.verify()).toMatchObject({ ok: true });
  await writing;
  expect(await audit.verify()).toMatchObject({ rows: 31, ok: true, problems: [] });
});

test.each<{ name: string; statements: string[]; sequence: number; why: RegExp }>([
  { name: 'row 3 edited', statements: [`update audit set actor = 'nobody' where sequence = 3`], sequence: 3, why: /edited/ },
  { name: 'one digit in the detail of row 2 edited', statements: [`update audit set detail = jsonb_set(detail, '{number}', '9') where sequence = 2`], sequence: 2, why: /edited/ },
  { name: 'the time of row 4 moved by a millisecond', statements: [`update audit set at = at + interval '1 millisecond' where sequence = 4`], sequence: 4, why: /edited/ },
  { name: 'row 3 dropped', statements: ['delete from audit where sequence = 3'], sequence: 3, why: /row 3 is missing/ },
  { name: 'row 3 dropped and the gap closed', statements: ['delete from audit where sequence = 3', 'update audit set sequence = 3 where sequence = 4', 'update audit set sequence = 4 where sequence = 5'], sequence: 3, why: /chained to another row/ },
  { name: 'the first row dropped', statements: ['delete from audit where sequence = 1'], sequence: 1, why: /row 1 is missing/ },
  { name: 'the last two rows dropped', statements: ['delete from audit where sequence > 3'], sequence: 4, why: /rows 4 to 5 are missing/ },
  { name: 'rows 2 and 4 swapped', statements: ['update audit set sequence = 99 where sequence = 2', 'update audit set sequence = 2 where sequence = 4', 'update audit set sequence = 4 where sequence = 99'], sequence: 2, why: /chained to another row/ },
  { name: 'all rows dropped', statements: ['delete from audit'], sequence: 1, why: /rows 1 to 5 are missing/ },
])('$name with the triggers off: verify names the first broken row', async ({ statements, sequence, why }) => {
  await append(5);
  await tamper(...statements);
  const { ok, problems } = await audit.verify();
  expect(ok).toBe(false);
  expect(problems[0]).toEqual({ where: `row ${sequence}`, sequence, why: expect.stringMatching(why) });
});

/** Guarantee 4. */
describe("with the application's own connection", () => {
  const attempts = [
    `update audit set actor = 'x'`,
    'delete from audit',
    'truncate audit',
    'drop table audit',
    'alter table audit disable trigger all',
    `update audit_head set sequence = 0`,
    'delete from audit_head',
    'drop trigger audit_refuse_row on audit',
    `delete from fairlead_migrations`,
  ];
  test.each(attempts)('refused: %s', async (statement) => {
    await append(2);
    await expect(database.query('tampering', (db) => sql.raw(statement).execute(db))).rejects.toMatchObject({ code: '42501' });
    expect(await audit.verify()).toMatchObject({ rows: 2, ok: true });
  });

  test.each([
    ['chained to an older row', { sequence: 3, previous: 'select previous_hash from audit where sequence = 2' }],
    ['with a gap', { sequence: 5, previous: 'select hash from audit where sequence = 2' }],
  ])('refused: a row %s', async (_what, { sequence, previous }) => {
    await append(2);
    const statement = `insert into audit (sequence, at, event, actor, subject, detail, previous_hash, hash) values (${sequence}, now(), 'e', 'a', 's', '{}', (${previous}), 'h')`;
    await expect(database.query('forging', (db) => sql.raw(statement).execute(db))).rejects.toThrow(/not chained to the last row/);
  });
});

test.each([`update audit set actor = 'x'`, 'delete from audit', 'truncate audit', 'truncate audit_head'])('the owner with the triggers on is refused too: %s', async (statement) => {
  await append(2);
  const client = new pg.Client(url);
  await client.connect();
  try {
    await expect(client.query(statement)).rejects.toThrow(/only ever appended/);
  } finally {
    await client.end();
  }
  expect(await audit.verify()).toMatchObject({ rows: 2, ok: true });
});

describe('signed checkpoints', () => {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const signer = createAuditSigner(pem);
  const checkSignature = createSignatureCheck(signer.publicKeyPem);
  const every = { checkpointRows: 3, checkpointSeconds: 3_600 };
  const found = async (saved: readonly AuditCheckpoint[] = []) => (await audit.verify({ checkSignature, saved })).problems;
  /** Triggers off, and the note of the end moved to where the rows end now. */
  const cutTo = (sequence: number, ...more: string[]) => tamper(`delete from audit where sequence > ${sequence}`, `update audit_head set (sequence, hash) = (select sequence, hash from audit where sequence = ${sequence})`, ...more);

  test('signed when they are due, and never twice for the same rows, also by two copies at once', async () => {
    const copies = [createCheckpoints(audit, signer, every), createCheckpoints(createStores(database).audit, signer, every)];
    expect(await copies[0]!.look()).toBeNull();
    await append(1);
    expect(await copies[0]!.look()).toMatchObject({ number: 1, sequence: 1 });
    await append(2);
    expect(await copies[0]!.look()).toBeNull();
    await append(1);
    expect((await Promise.all(copies.map((copy) => copy.look()))).filter((signed) => signed !== null)).toMatchObject([{ number: 2, sequence: 4 }]);
    await append(1);
    expect(await copies[1]!.look(true)).toMatchObject({ number: 3, sequence: 5 });
    expect(await audit.verify({ checkSignature })).toMatchObject({ ok: true, checkpoints: 3, rowsSinceCheckpoint: 0, signaturesChecked: true });
    expect((await audit.checkpoints({ limit: 1 })).map(({ number }) => number)).toEqual([3]);
    expect((await audit.checkpoints({ limit: 2, afterNumber: 0 })).map(({ number }) => number)).toEqual([1, 2]);
  });

  test('the tail cut with the triggers off and the end moved: found by the checkpoint; cut together with it, by a copy of it that was kept', async () => {
    const checkpoints = createCheckpoints(audit, signer, every);
    await append(3);
    await checkpoints.look(true);
    await append(3);
    const saved = await checkpoints.look(true);
    await cutTo(4);
    expect(await found()).toEqual([{ where: 'row 5', sequence: 5, why: expect.stringContaining('checkpoint 2 was signed for row 6: the tail was cut') }]);
    await expect(checkpoints.look(true)).rejects.toMatchObject({ reason: { code: 'audit_broken' } });
    await tamper('alter table audit_checkpoints disable trigger all', 'delete from audit_checkpoints where number = 2', 'alter table audit_checkpoints enable trigger all');
    expect(await found()).toEqual([]);
    expect(await found([saved!])).toMatchObject([{ where: 'saved checkpoint 2', why: expect.stringContaining('dropped') }, { where: 'row 5', why: expect.stringContaining('saved checkpoint 2 was signed for row 6') }]);
  });

  test('rows that were changed since the last checkpoint are not signed for', async () => {
    const checkpoints = createCheckpoints(audit, signer, every);
    await append(2);
    await checkpoints.look(true);
    await append(2);
    await tamper(`update audit set actor = 'nobody' where sequence = 4`);
    await expect(checkpoints.look(true)).rejects.toMatchObject({ reason: { code: 'audit_broken', message: expect.stringContaining('row 4') } });
  });

  test('as a part of the process: one is signed at its end, none without a key, and a key that cannot be used ends the start', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fairlead-audit-'));
    try {
      const [good, bad] = [join(directory, 'audit.key'), join(directory, 'bad.key')];
      await writeFile(good, pem, { mode: 0o600 });
      await writeFile(bad, 'no key');
      const logger = createLogger({ name: 'api', level: 'silent' });
      const partOf = (keyFile: string | null) => auditPart({ keyFile, checkpointRows: 1_000_000, checkpointSeconds: 86_400 }, audit, logger);
      await append(2);
      const without = partOf(null);
      expect([await without.part.start(), without.checkSignature()]).toEqual([null, null]);
      const signing = partOf(good);
      const stop = await signing.part.start();
      await append(1);
      await stop?.();
      expect(await audit.verify({ checkSignature: signing.checkSignature() })).toMatchObject({ ok: true, checkpoints: 1, rowsSinceCheckpoint: 0, signaturesChecked: true });
      await expect(partOf(bad).part.start()).rejects.toMatchObject({ reason: { code: 'audit_key_invalid' } });
      await expect(partOf(join(directory, 'none')).part.start()).rejects.toMatchObject({ reason: { code: 'audit_key_missing' } });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test.each(['update audit_checkpoints set sequence = 9', 'delete from audit_checkpoints', 'truncate audit_checkpoints'])("refused with the application's own connection: %s", async (statement) => {
    await append(1);
    await createCheckpoints(audit, signer, every).look();
    await expect(database.query('tampering', (db) => sql.raw(statement).execute(db))).rejects.toMatchObject({ code: '42501' });
    expect(await audit.verify({ checkSignature })).toMatchObject({ ok: true, checkpoints: 1 });
  });
});
