import { generateKeyPairSync } from 'node:crypto';
import { createAuditSigner, createSignatureCheck, sha256Hex } from '../../../src/adapters/audit-signature/ed25519.ts';
import { chainRow, emptyChain, type AuditRow, type ChainHead } from '../../../src/domain/audit/chain.ts';
import { checkpointText, isCheckpointDue, nextCheckpoint, type AuditCheckpoint } from '../../../src/domain/audit/checkpoint.ts';
import { exportLines } from '../../../src/domain/audit/export.ts';
import { createAuditVerification, type AuditVerdict } from '../../../src/domain/audit/verification.ts';
import { verifyExport } from '../../../src/cli/audit-export.ts';

const newKey = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const signer = createAuditSigner(newKey());
const stranger = createAuditSigner(newKey());
const checkSignature = createSignatureCheck(signer.publicKeyPem);

function chainOf(count: number, actor = 'ci'): AuditRow[] {
  const rows: AuditRow[] = [];
  for (let number = 1; number <= count; number += 1) rows.push(chainRow({ at: '2026-11-21T09:00:00.000Z', event: 'run.intended', actor, subject: 'host/h1/lab', runId: null, detail: { number } }, rows.at(-1) ?? emptyChain, sha256Hex));
  return rows;
}
function sign(head: ChainHead, before: AuditCheckpoint | null, by = signer): AuditCheckpoint {
  const unsigned = nextCheckpoint(head, before, '2026-11-21T10:00:00.000Z', by.keyId, sha256Hex);
  return { ...unsigned, signature: by.sign(checkpointText(unsigned)) };
}

const rows = chainOf(9);
const one = sign(rows[2]!, null);
const two = sign(rows[5]!, one);
const three = sign(rows[7]!, two);
const all = [one, two, three];
const edited = (row: AuditRow): AuditRow => ({ ...row, actor: 'somebody else' });
/** Somebody rewrites the chain from a row on, with good hashes. */
const rewritten = (from: number): AuditRow[] => rows.reduce<AuditRow[]>((made, row) => [...made, row.sequence < from ? row : chainRow(edited(row), made.at(-1) ?? emptyChain, sha256Hex)], []);

interface Case {
  readonly name: string;
  readonly rows?: readonly AuditRow[];
  readonly checkpoints?: readonly AuditCheckpoint[];
  readonly saved?: readonly AuditCheckpoint[];
  /** What the database, or the header of an export, says of the end; whoever cuts the tail changes that as well. */
  readonly head?: ChainHead;
  readonly where: string;
  readonly why: RegExp;
}
const cases: readonly Case[] = [
  { name: 'row 4 edited', rows: rows.map((row) => (row.sequence === 4 ? edited(row) : row)), where: 'row 4', why: /was edited/ },
  { name: 'row 4 dropped', rows: rows.filter(({ sequence }) => sequence !== 4), where: 'row 4', why: /missing/ },
  { name: 'rows 2 and 4 swapped', rows: rows.map((row) => (row.sequence === 2 ? { ...rows[3]!, sequence: 2 } : row.sequence === 4 ? { ...rows[1]!, sequence: 4 } : row)), where: 'row 2', why: /chained to another row/ },
  { name: 'the tail cut within what a checkpoint covers, and the end moved', rows: rows.slice(0, 6), head: rows[5]!, where: 'row 7', why: /rows end at 6, and checkpoint 3 was signed for row 8: the tail was cut/ },
  { name: 'the tail cut together with its checkpoints: nothing is missed but by a checkpoint that was saved', rows: rows.slice(0, 6), checkpoints: [one, two], head: rows[5]!, saved: [three], where: 'row 7', why: /saved checkpoint 3 was signed for row 8/ },
  { name: 'the chain made anew from row 5, with good hashes', rows: rewritten(5), head: rewritten(5)[8]!, where: 'row 6', why: /row 6 is not the one that checkpoint 2 was signed for/ },
  { name: 'a checkpoint forged for the chain that was made anew', rows: rewritten(5), head: rewritten(5)[8]!, checkpoints: [one, { ...two, hash: rewritten(5)[5]!.hash }], where: 'checkpoint 2', why: /edited or forged/ },
  { name: 'a checkpoint signed with a key of somebody else', rows: rewritten(5), head: rewritten(5)[8]!, checkpoints: [one, sign(rewritten(5)[5]!, one, stranger)], where: 'checkpoint 2', why: /none of those that are trusted/ },
  { name: "another's signature moved onto a checkpoint", checkpoints: [one, { ...two, signature: one.signature }, three], where: 'checkpoint 2', why: /edited or forged/ },
  { name: 'a checkpoint dropped from the middle', checkpoints: [one, three], where: 'checkpoint 3', why: /checkpoint 2 is missing/ },
  { name: 'a saved checkpoint that is not there any more', checkpoints: [one, two], saved: [three], where: 'saved checkpoint 3', why: /was dropped/ },
  { name: 'a saved checkpoint of another text than the one that is there', checkpoints: [one, sign(rows[6]!, one)], saved: [two], where: 'saved checkpoint 2', why: /another one now/ },
  { name: 'a saved checkpoint that was edited', saved: [{ ...two, sequence: 7 }], where: 'saved checkpoint 2', why: /edited or forged/ },
];

function verify({ rows: given = rows, checkpoints = all, saved = [], head = rows[8]! }: Partial<Case>): AuditVerdict {
  const verification = createAuditVerification({ sha256: sha256Hex, checkpoints, saved, checkSignature });
  for (const row of given) verification.row(row);
  return verification.end(head);
}
async function* exported({ rows: given = rows, checkpoints = all, head = rows[8]! }: Partial<Case>): AsyncGenerator<string> {
  const text = exportLines.start({ exportedAt: '2026-11-21T11:00:00.000Z', head }, checkpoints) + exportLines.rows(given) + exportLines.end({ rows: given.length, checkpoints: checkpoints.length });
  yield* text.trimEnd().split('\n');
}

test('whole: nothing is found, and what no checkpoint covers is counted', () => {
  expect(verify({ saved: [two] })).toEqual({ rows: 9, checkpoints: 3, signaturesChecked: true, rowsSinceCheckpoint: 1, ok: true, problems: [] });
});

test.each(cases)('$name: found in the rows, with what and where', (given) => {
  const { ok, problems } = verify(given);
  expect(ok).toBe(false);
  expect(problems).toContainEqual({ where: given.where, sequence: expect.anything(), why: expect.stringMatching(given.why) });
});

test.each(cases)('$name: found in an export by itself', async (given) => {
  const verdict = await verifyExport(exported(given), signer.publicKeyPem, given.saved ?? []);
  expect(verdict.problems).toContainEqual({ where: given.where, sequence: expect.anything(), why: expect.stringMatching(given.why) });
});

test('the tail cut together with its checkpoints, and no saved one: nothing can be found, which is what saved ones are for', () => {
  expect(verify({ rows: rows.slice(0, 6), checkpoints: [one, two], head: rows[5]! }).ok).toBe(true);
});

test('an export without its last line is not whole; one with lines taken out says so', async () => {
  const lines: string[] = [];
  for await (const line of exported({})) lines.push(line);
  const given = async function* (some: readonly string[]) {
    yield* some;
  };
  await expect(verifyExport(given(lines.slice(0, -1)), null, [])).rejects.toMatchObject({ reason: { code: 'audit_export_invalid' } });
  await expect(verifyExport(given([...lines.slice(1)]), null, [])).rejects.toMatchObject({ reason: { code: 'audit_export_invalid' } });
  await expect(verifyExport(given(['{"kind":"header","schema":2}']), null, [])).rejects.toThrow(/schema 2/);
  expect((await verifyExport(given(lines.filter((line) => !line.includes('"number":3,"sequence"'))), signer.publicKeyPem, [])).problems).toContainEqual({ where: 'the file', sequence: null, why: expect.stringMatching(/3 checkpoints, and it holds 9 and 2/) });
});

test('keys before and after a change of key vouch together', () => {
  const next = sign(rows[8]!, three, stranger);
  const verification = createAuditVerification({ sha256: sha256Hex, checkpoints: [...all, next], checkSignature: createSignatureCheck(signer.publicKeyPem + stranger.publicKeyPem) });
  for (const row of rows) verification.row(row);
  expect(verification.end(rows[8]!)).toMatchObject({ ok: true, rowsSinceCheckpoint: 0 });
});

test.each([
  ['no new row', rows[7]!, '2027-01-01T00:00:00.000Z', false],
  ['new rows, too few and too soon', rows[8]!, '2026-11-21T10:00:59.000Z', false],
  ['new rows, and long enough ago', rows[8]!, '2026-11-21T10:01:00.000Z', true],
  ['enough new rows', { sequence: 12, hash: 'x' }, '2026-11-21T10:00:01.000Z', true],
])('a checkpoint is due or not: %s', (_what, head, now, due) => expect(isCheckpointDue(head, three, now, { everyRows: 4, everySeconds: 60 })).toBe(due));
