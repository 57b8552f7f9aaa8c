import { refusal, startRolloutBed, type RolloutBed } from '../support/rollout-bed.ts';
import { metricGate, windowGate } from '../support/rollout-samples.ts';

const limitMs = 120_000;

/** What no further attempt would mend: a rollout must end or stand still with the reason, and never have a task that fails for ever. */
describe('control fails a rollout for good', () => {
  let bed: RolloutBed;
  beforeAll(async () => {
    bed = await startRolloutBed();
  }, limitMs);
  afterEach(() => {
    bed.faults = {};
  });
  afterAll(() => bed?.end(), limitMs);

  const said = (text: string) => expect.stringContaining(text);

  test('what became of a host cannot be kept: those in flight end, none follows, the rollout halts and tells why; a retry takes the rest up', async () => {
    bed.faults = { concludeHost: ({ host }) => host === 'h2' };
    const rollout = await bed.start(['h1', 'h2', 'h3', 'h4'], { maxParallel: 2 });
    const halted = await rollout.until('it is halted', ({ status }) => status === 'halted');
    expect(halted.waiting).toMatchObject({ for: said(`Control could not keep what became of h2, and trying again would not help: ${refusal}`), release: said('retry') });
    expect(halted.counts[0]).toMatchObject({ failed: 0 });
    expect(halted.counts[0]!.updated).toBeLessThan(4);
    bed.faults = {};
    await rollout.command({ command: 'retry' });
    expect(await rollout.result()).toMatchObject({ outcome: 'succeeded', ok: true });
  }, limitMs);

  test('a shard cannot read its hosts: the rollout halts with the innermost reason; nobody decides, and it ends', async () => {
    bed.faults = { readShard: () => true };
    const rollout = await bed.start(['h1'], { decisionSeconds: 1 });
    expect(await rollout.result()).toMatchObject({ outcome: 'failed', ok: false, reason: { code: 'shard_lost', message: said(refusal) } });
  }, limitMs);

  test('a shard is lost on the way back: the waves before it go back all the same, and the end tells which one was lost, why, and what to do', async () => {
    bed.faults = { askGate: () => true };
    const rollout = await bed.start(['h1', 'h2', 'h3'], { waves: { by: 'count', hosts: 1 }, gates: [{ ...metricGate, before: [3], everySeconds: 1 }] });
    await rollout.until('two waves are updated, and the third is held', ({ status, counts }) => status === 'gated' && counts[1]?.updated === 1);
    bed.faults = { ...bed.faults, readShard: ({ wave }) => wave === 2 };
    await rollout.command({ command: 'abort', updated: 'roll-back-all' });
    const end = await rollout.result();
    expect(end).toMatchObject({ outcome: 'aborted', ok: false, reason: { class: 'orchestrator', code: 'shard_not_returned', message: said(`Shard 0 of wave 2 did not come to its end while its hosts were taken back: ${refusal}`), hint: said('fairlead rollout status') } });
    expect(end.reason?.message).toContain('because: Aborted by bob');
    expect((await rollout.standing()).counts.slice(0, 2)).toMatchObject([{ updated: 1, returned: 1 }, { updated: 1, returned: 0 }]);
  }, limitMs);

  test('it cannot be planned: refused, with the reason', async () => {
    bed.faults = { planRollout: () => true };
    expect(await (await bed.start(['h1'])).result()).toMatchObject({ outcome: 'refused', ok: false, reason: { code: 'control_failed', message: said(refusal) } });
  }, limitMs);

  test('whether a freeze holds, or a window is open, cannot be seen: it is held with the reason until somebody resumes it', async () => {
    bed.faults = { freezeNow: () => true };
    const frozen = await bed.start(['h1']);
    const held = await frozen.until('it is paused', ({ status }) => status === 'paused');
    expect(held.waiting).toMatchObject({ for: said(`paused by fairlead (Control could not see whether a freeze holds, and trying again would not help: ${refusal}`), release: said('resume') });
    await frozen.command({ command: 'resume' });
    expect(await frozen.result()).toMatchObject({ ok: true });

    bed.faults = { askWindow: () => true };
    const windowed = await bed.start(['h1'], { gates: [windowGate] });
    expect((await windowed.until('it is paused', ({ status }) => status === 'paused')).waiting?.for).toContain('the window of gate night');
    await windowed.command({ command: 'abort', updated: 'keep' });
    expect(await windowed.result()).toMatchObject({ outcome: 'aborted' });
  }, limitMs);

  test('a gate cannot be asked: it stays shut with the reason, and opens with the answer', async () => {
    bed.faults = { askGate: () => true };
    const rollout = await bed.start(['h1'], { gates: [{ ...metricGate, before: 'all', everySeconds: 1 }] });
    expect((await rollout.until('the gate says why', ({ waiting }) => waiting?.for.includes(refusal) === true)).status).toBe('gated');
    bed.faults = {};
    expect(await rollout.result()).toMatchObject({ ok: true });
  }, limitMs);

  test('its story and its end cannot be kept: it goes on, and ends once they can', async () => {
    bed.faults = { noteRollout: () => true, closeRollout: () => true };
    const rollout = await bed.start(['h1']);
    await rollout.until('it has come to its end', ({ status }) => status === 'ended');
    bed.faults = {};
    expect(await rollout.result()).toMatchObject({ outcome: 'succeeded', ok: true });
  }, limitMs);
});
