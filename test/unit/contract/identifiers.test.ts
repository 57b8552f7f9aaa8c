import { z } from 'zod';
import * as contract from '../../../src/contract/index.ts';

const schemas = Object.entries(contract).filter((entry) => entry[1] instanceof z.ZodType) as [string, z.ZodType][];

test('every schema of the contract can be told in JSON Schema, both ways', () => {
  expect(schemas.length).toBeGreaterThan(40);
  for (const [, schema] of schemas) for (const io of ['input', 'output'] as const) expect(() => z.toJSONSchema(schema, { io })).not.toThrow();
});

test.each([
  ['hostId', ['h1', 'web-3.example', 'a'], ['', 'H1', '-a', 'a-', '../x', 'a/b', 'a'.repeat(64), 'a b', 'a\n']],
  ['releaseId', ['r1', '2026.11.2-4f1c9d0', 'A+b'], ['', '.', '..', '.hidden', 'a/b', 'r1-', 'a'.repeat(129), 'r1\n']],
  ['sha256', ['0'.repeat(64)], ['0'.repeat(63), 'A'.repeat(64), `${'0'.repeat(64)}\n`]],
  ['runId', ['01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10'], ['', 'a/b', 'a'.repeat(65)]],
] as const)('%s takes what may be a file name and nothing else', (name, good, bad) => {
  const schema = contract[name];
  for (const text of good) expect(schema.safeParse(text).success).toBe(true);
  for (const text of bad) expect({ text, taken: schema.safeParse(text).success }).toEqual({ text, taken: false });
});

test('a body with a misspelt member is refused by its name', () => {
  const parsed = contract.UpdateApplyBody.safeParse({ host: 'h1', product: 'lab', releaseId: 'r1', allowFaild: true });
  expect(parsed.error?.issues[0]?.message).toContain('allowFaild');
});

test('what a newer agent tells beyond the contract is passed on unharmed', () => {
  const inspection = { product: 'lab', state: null, currentReleaseId: null, completeReleaseIds: [], intent: null, freeBytes: 1, router: 'nginx', trustedKeyIds: [], colour: 'blue' };
  const parsed = contract.HostHelloBody.parse({ role: 'node', agentVersion: '9.9', bootId: 'b', products: [inspection] });
  expect(parsed.products[0]).toEqual(inspection);
});
