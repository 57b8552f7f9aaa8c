import { randomBytes } from 'node:crypto';
import { createIdentityCache } from '../../../src/adapters/temporal-gateway/identity-cache.ts';
import { createRefusals } from '../../../src/adapters/temporal-gateway/refusals.ts';
import { createTokenSeal, readSealKeys } from '../../../src/adapters/temporal-gateway/seal.ts';
import type { AuditEntry } from '../../../src/domain/audit/chain.ts';
import type { HostId } from '../../../src/domain/ids.ts';

const h1 = 'h1' as HostId;
const h2 = 'h2' as HostId;

describe('a sealed task token', () => {
  const key = (id: string) => ({ id, secret: randomBytes(32) });
  const [k1, k2] = [key('k1'), key('k2')];
  const token = randomBytes(80);
  const later = Date.now() + 60_000;
  const seal = createTokenSeal([k1]);

  test('opens for the host that got it, at every copy that has the key', () => {
    expect(createTokenSeal([k2, k1]).open(h1, seal.seal(h1, token, later))?.equals(token)).toBe(true);
  });
  test("is refused for another host, when it is too old, and where the key is gone or another one of the same id", () => {
    const sealed = seal.seal(h1, token, later);
    expect(seal.open(h2, sealed)).toBeNull();
    expect(createTokenSeal([k1], () => later + 1_000).open(h1, sealed)).toBeNull();
    expect(createTokenSeal([k2]).open(h1, sealed)).toBeNull();
    expect(createTokenSeal([key('k1')]).open(h1, sealed)).toBeNull();
  });
  test('is refused with any bit changed, cut anywhere, and without a seal', () => {
    const sealed = seal.seal(h1, token, later);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(seal.open(h1, changed)).toBeNull();
    }
    for (let length = 0; length < sealed.length; length += 1) expect(seal.open(h1, sealed.subarray(0, length))).toBeNull();
    expect(seal.open(h1, token)).toBeNull();
  });
});

describe('the file of seal keys', () => {
  const secret = (size = 32) => randomBytes(size).toString('base64');
  test('has the sealing key first; comments and empty lines do not count', () => {
    expect(readSealKeys(`# two keys\n\nnew ${secret()}\nold ${secret(48)}\n`, '/f').map(({ id, secret: { length } }) => [id, length])).toEqual([['new', 32], ['old', 48]]);
  });
  test.each([['', 'has no key'], ['k1', 'line 1'], [`# x\nk1 ${secret(31)}`, 'line 2'], [`a ${secret()}\na ${secret()}`, 'a second time'], [`k1 ${'!'.repeat(60)}`, 'line 1']])('%j is refused without showing it', (text, said) => {
    expect(() => readSealKeys(text, '/etc/seal')).toThrow(said);
    const shown = (() => { try { readSealKeys(text, '/f'); return ''; } catch (error) { return (error as Error).message; } })();
    for (const word of text.split(/\s/).filter(({ length }) => length > 20)) expect(shown).not.toContain(word);
  });
});

describe('who a key belongs to', () => {
  function bed() {
    let clock = 0;
    let asked = 0;
    let away = false;
    const known = new Map([['k', h1]]);
    const cache = createIdentityCache({ identify: async (text) => { asked += 1; if (away) throw new Error('away'); const host = known.get(text); return host ? { host } : null; } }, () => clock);
    return { cache, known, pass: (ms: number) => void (clock += ms), asked: () => asked, goAway: () => void (away = true) };
  }
  test('is asked once for many calls, and again after two seconds: a revoked key is refused then', async () => {
    const { cache, known, pass, asked } = bed();
    expect(await Promise.all([cache.identify('k'), cache.identify('k'), cache.identify('k')])).toEqual([{ host: h1 }, { host: h1 }, { host: h1 }]);
    known.delete('k');
    pass(1_999);
    expect(await cache.identify('k')).toEqual({ host: h1 });
    expect(asked()).toBe(1);
    pass(1);
    expect(await cache.identify('k')).toBeNull();
  });
  test('a key that was good stays good while the store is away, for a quarter of an hour; one that was never seen, or refused, is not let in', async () => {
    const { cache, pass, goAway } = bed();
    await cache.identify('k');
    expect(await cache.identify('bad')).toBeNull();
    goAway();
    pass(10 * 60_000);
    expect(await cache.identify('k')).toEqual({ host: h1 });
    await expect(cache.identify('bad')).rejects.toThrow('away');
    await expect(cache.identify('other')).rejects.toThrow('away');
    pass(6 * 60_000);
    await expect(cache.identify('k')).rejects.toThrow('away');
  });
});

describe('refused calls', () => {
  const refusal = (path: string, host: HostId | null = h1) => ({ path: `/temporal.api.workflowservice.v1.WorkflowService/${path}`, code: 'method_not_allowed' as const, host, peer: '127.0.0.1:1' });
  test('the first is audited at once, the rest of its time in one row, and made-up names are one method', async () => {
    const rows: AuditEntry[] = [];
    const refusals = createRefusals({ audit: { append: async (entry) => (rows.push(entry), {} as never) }, logger: { warn: () => undefined }, gatherMs: 60_000 });
    for (let at = 0; at < 500; at += 1) refusals.note(refusal('StartWorkflowExecution'));
    for (let at = 0; at < 500; at += 1) refusals.note(refusal(`Made${at}`));
    refusals.note(refusal('StartWorkflowExecution', h2));
    await refusals.end();
    expect(rows.map(({ event, actor, subject, detail }) => [event, actor, subject, detail['method'], detail['count']])).toEqual([
      ['gateway.refused', 'agent@h1', 'host/h1', 'StartWorkflowExecution', 1],
      ['gateway.refused', 'agent@h1', 'host/h1', 'other', 1],
      ['gateway.refused', 'agent@h2', 'host/h2', 'StartWorkflowExecution', 1],
      ['gateway.refused', 'agent@h1', 'host/h1', 'StartWorkflowExecution', 499],
      ['gateway.refused', 'agent@h1', 'host/h1', 'other', 499],
    ]);
    expect(refusals.counts()).toEqual([{ method: 'StartWorkflowExecution', code: 'method_not_allowed', count: 501 }, { method: 'other', code: 'method_not_allowed', count: 500 }]);
  });
  test('a row that the store did not take is offered again, and none is lost', async () => {
    const rows: AuditEntry[] = [];
    let away = true;
    const append = async (entry: AuditEntry) => { if (away) throw new Error('away'); rows.push(entry); return {} as never; };
    const refusals = createRefusals({ audit: { append }, logger: { warn: () => undefined }, gatherMs: 20 });
    for (let at = 0; at < 3; at += 1) refusals.note(refusal('StartWorkflowExecution'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    away = false;
    for (let left = 200; left > 0 && rows.length === 0; left -= 1) await new Promise((resolve) => setTimeout(resolve, 20));
    await refusals.end();
    expect(rows.reduce((sum, { detail }) => sum + (detail['count'] as number), 0)).toBe(3);
  });
});
