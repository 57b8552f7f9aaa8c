import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { brokenGuarantees } from '../support/invariants.ts';
import { shortStart, startStack, type Stack } from '../support/stack.ts';

/** A migration that rewrites every row, so that the release before cannot read them. */
const rewriting = `
import { runHook } from '../lib/hook.mjs';
import { releaseId } from '../lib/release.mjs';
import { readLines, rowsFile, schemaFile, writeJson } from '../lib/store.mjs';
import { generation } from './schema.mjs';
import { renameSync, writeFileSync } from 'node:fs';
runHook('migrate', () => {
  const rows = readLines(rowsFile);
  writeFileSync(rowsFile + '.new', rows.map((row) => JSON.stringify({ generation, body: row.text ?? row.body }) + '\\n').join(''));
  renameSync(rowsFile + '.new', rowsFile);
  writeJson(schemaFile, { generation, migratedBy: releaseId });
  return rows.length + ' rows rewritten';
});
`;

const migrating = (data: { generation: number; readsFrom: number; onRollback: string }) => async (directory: string) => {
  await shortStart(directory);
  const file = join(directory, 'fairlead.yaml');
  const text = await fs.readFile(file, 'utf8');
  await fs.writeFile(file, text.replace('schemaGeneration: 1', `schemaGeneration: ${data.generation}`).replace('readsFrom: 1', `readsFrom: ${data.readsFrom}`).replace('onRollback: keep', `onRollback: ${data.onRollback}`));
  await fs.writeFile(join(directory, 'hooks/migrate.mjs'), rewriting);
};

/** Data goes with code, and comes back with it. Guarantee 2. */
describe('a release that migrates the data', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ replace: { env: { FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEAL: 'report' } } });
    await stack.publish('r1', { edit: shortStart });
    await stack.publish('r2', { edit: migrating({ generation: 2, readsFrom: 1, onRollback: 'restore' }), faults: { notReady: true, only: 'api-b' } });
    await stack.publish('r3', { edit: migrating({ generation: 3, readsFrom: 2, onRollback: 'restore' }) });
    await stack.publish('r4', { edit: migrating({ generation: 2, readsFrom: 1, onRollback: 'stop' }), faults: { notReady: true, only: 'api-b' } });
    expect((await stack.apply('h1', 'r1', { phase: 'installed' })).outcome).toBe('succeeded');
    for (let row = 0; row < 25; row += 1) {
      const answer = await fetch(`${await stack.address('h1')}/api/rows`, { method: 'POST', headers: { connection: 'close' }, body: JSON.stringify({ text: `row ${row}` }) });
      expect(answer.status).toBe(201);
    }
  }, 120_000);
  afterAll(() => stack?.end(), 60_000);

  const rowsFile = () => join(stack.layout('h1').stateRoot, 'data/rows.jsonl');
  const rowHash = async (): Promise<string> => createHash('sha256').update(await fs.readFile(rowsFile())).digest('hex');
  const plan = async (releaseId: string) => (await stack.ask<{ decision: string; reason: { code: string; hint?: string } | null; plan: { warnings: string[] } | null }>('POST', '/api/updates/plan', { host: 'h1', product: stack.product, releaseId })).body;

  test('the plan says beforehand what a way back costs', async () => {
    expect((await plan('r2')).plan?.warnings).toEqual([expect.stringContaining('A rollback after the migration puts the backup back')]);
    expect((await plan('r4')).plan?.warnings).toEqual([expect.stringContaining('The migration cannot be undone')]);
  });

  test('migrated, then it never gets ready: the old release runs on the old rows, which are the same to the byte', async () => {
    const before = await rowHash();
    const report = await stack.apply('h1', 'r2');
    expect([report.outcome, report.reason?.class]).toEqual(['rolled_back', 'release']);
    expect(report.steps.find(({ name }) => name === 'migrate')?.note).toContain('25 rows rewritten');
    expect(report.steps.find(({ name }) => name === 'restore-data')?.outcome).toBe('done');
    expect(await rowHash()).toBe(before);
    const { total, rows } = (await (await fetch(`${await stack.address('h1')}/api/rows`, { headers: { connection: 'close' } })).json()) as { total: number; rows: { text: string }[] };
    expect([total, rows.at(-1)?.text]).toEqual([25, 'row 24']);
    expect(await brokenGuarantees(stack, report)).toEqual([]);
  }, 150_000);

  test('data older than what the release reads: refused with the hop to take, nothing is touched', async () => {
    const before = await rowHash();
    const { exitCode, stdout, stderr } = await stack.fairlead('update', 'apply', 'r3', '--host', 'h1');
    expect([exitCode, stdout + stderr]).toEqual([3, expect.stringMatching(/reads data from generation 2 on; .* keeps generation 1[\s\S]*Apply a release in between first/)]);
    expect(await rowHash()).toBe(before);
  }, 150_000);

  test('a migration that cannot be undone: stranded, with the reason, the backup and what to type', async () => {
    const report = await stack.apply('h1', 'r4');
    expect([report.outcome, report.recovery?.reason.code]).toEqual(['stranded', 'migration_irreversible']);
    expect(await fs.stat(report.backupPath as string)).toBeDefined();
    expect(report.recovery?.commands.length).toBeGreaterThan(0);
  }, 150_000);
});
