import { createHash } from 'node:crypto';
import { brokenEnd, brokenLink, chainRow, emptyChain } from '../../../src/domain/audit/chain.ts';
import type { AuditRow, BrokenLink, ChainHead } from '../../../src/domain/audit/chain.ts';
import { canonicalJson } from '../../../src/domain/canonical-json.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function chainOf(count: number): AuditRow[] {
  const rows: AuditRow[] = [];
  for (let number = 1; number <= count; number += 1) {
    const entry = { at: '2026-11-21T09:00:00.000Z', event: 'run.intended', actor: 'ci', subject: 'host/h1/lab', runId: null, detail: { number } };
    rows.push(chainRow(entry, rows.at(-1) ?? emptyChain, sha256));
  }
  return rows;
}

function firstBroken(rows: readonly AuditRow[], end: ChainHead): BrokenLink | null {
  let head: ChainHead = emptyChain;
  for (const row of rows) {
    const broken = brokenLink(row, head, sha256);
    if (broken !== null) return broken;
    head = row;
  }
  return brokenEnd(head, end);
}

const whole = chainOf(5);
const end = whole[4]!;
const edited = (row: AuditRow): AuditRow => ({ ...row, actor: 'somebody else' });
const rehashed = (row: AuditRow, before: ChainHead): AuditRow => chainRow(edited(row), before, sha256);

test.each<{ name: string; rows: AuditRow[]; sequence: number | null; why: RegExp | null }>([
  { name: 'nothing touched: whole', rows: whole, sequence: null, why: null },
  { name: 'row 3 edited: row 3 is named', rows: whole.map((row) => (row.sequence === 3 ? edited(row) : row)), sequence: 3, why: /edited/ },
  { name: 'row 3 dropped: row 3 is named', rows: whole.filter((row) => row.sequence !== 3), sequence: 3, why: /row 3 is missing/ },
  { name: 'rows 2 to 4 dropped: row 2 is named with the span', rows: whole.filter((row) => row.sequence === 1 || row.sequence === 5), sequence: 2, why: /rows 2 to 4 are missing/ },
  { name: 'rows 2 and 3 swapped in content: row 2 is named', rows: [whole[0]!, { ...whole[2]!, sequence: 2 }, { ...whole[1]!, sequence: 3 }, whole[3]!, whole[4]!], sequence: 2, why: /chained to another row/ },
  { name: 'row 3 edited and hashed anew: row 4 no longer fits', rows: whole.map((row) => (row.sequence === 3 ? rehashed(row, whole[1]!) : row)), sequence: 4, why: /changed or replaced/ },
  { name: 'last row dropped: the end is missed', rows: whole.slice(0, 4), sequence: 5, why: /row 5 is missing/ },
  { name: 'last row edited and hashed anew: it is not the end that was told', rows: [...whole.slice(0, 4), rehashed(whole[4]!, whole[3]!)], sequence: 5, why: /not the row that was appended last/ },
  { name: 'a row added behind the end: it is named', rows: chainOf(6), sequence: 6, why: /never appended/ },
  { name: 'everything dropped: row 1 is named', rows: [], sequence: 1, why: /rows 1 to 5 are missing/ },
])('audit chain: $name', ({ rows, sequence, why }) => {
  const broken = firstBroken(rows, end);
  expect(broken?.sequence ?? null).toBe(sequence);
  if (why !== null) expect(broken?.why).toMatch(why);
});

test('every field of a row is covered by its hash', () => {
  const row = whole[0]!;
  const changes: Partial<AuditRow>[] = [{ at: '2026-11-21T09:00:00.001Z' }, { event: 'x' }, { actor: 'x' }, { subject: 'x' }, { runId: 'x' }, { detail: { number: 2 } }];
  for (const change of changes) expect(brokenLink({ ...row, ...change }, emptyChain, sha256)?.why).toMatch(/edited/);
});

describe('canonical JSON', () => {
  test('the order in which keys were set does not change the text, at any depth', () => {
    expect(canonicalJson({ b: [{ z: 1, a: null }], a: 'é"\n' })).toBe('{"a":"é\\"\\n","b":[{"a":null,"z":1}]}');
    expect(canonicalJson({ a: 1, b: { d: 1, c: 2 } })).toBe(canonicalJson({ b: { c: 2, d: 1 }, a: 1 }));
  });
  test('undefined members are left out, in arrays they are null', () => expect(canonicalJson({ a: undefined, b: [undefined] })).toBe('{"b":[null]}'));
  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, Symbol('x')])('what JSON has no word for is refused: %p', (value) => expect(() => canonicalJson({ value })).toThrow(TypeError));
});
