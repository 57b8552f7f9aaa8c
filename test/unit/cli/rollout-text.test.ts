import { resultOf } from '../../../src/cli/rollout/answer.ts';
import { renderRolloutPlan, renderTree } from '../../../src/cli/rollout/text.ts';
import type { Rollout, RolloutHost, RolloutPlanAnswer, RunDetail } from '../../../src/contract/index.ts';
import { defaultStrategy } from '../../../src/domain/rollout/request.ts';
import { noHosts } from '../../../src/domain/rollout/outcome.ts';

const at = '2026-01-01T10:00:00.000Z';
const strategy = defaultStrategy as Rollout['strategy'];
const rollout = (more: Partial<Rollout> = {}): Rollout => ({
  rolloutId: 'r' as Rollout['rolloutId'], product: 'lab' as Rollout['product'], releaseId: 'r2' as Rollout['releaseId'], requestedBy: 'ops (admin)', requestedAt: at, endedAt: null, outcome: null, ok: null, reason: null, strategy,
  waves: [{ number: 0, role: 'controller', hosts: 1, counts: { ...noHosts, updated: 1 } }, { number: 1, role: 'node', hosts: 3, counts: { ...noHosts, failed: 1 } }], scope: 5, unchanged: 0, skipped: 1, warnings: [],
  standing: { phase: 'Rolling', status: 'paused', wave: 1, behind: null, waiting: { for: 'a person: paused by ops', since: at, until: null, release: 'fairlead rollout resume, or abort' }, counts: [] },
  links: { self: '', hosts: '', events: '', temporalUi: null }, ...more,
});
const host = (name: string, more: Partial<RolloutHost> = {}): RolloutHost => ({
  host: name as RolloutHost['host'], role: 'node', artifactRole: 'node', artifactProfile: 'small', fromReleaseId: 'r1' as RolloutHost['fromReleaseId'], toReleaseId: 'r2' as RolloutHost['toReleaseId'], action: 'update', wave: 1, position: 0, why: null,
  outcome: null, reason: null, verification: null, recovery: null, runId: null, backRunId: null, openRunId: null, endedAt: null, ...more,
});
const hosts = [
  host('c1', { role: 'controller', wave: 0, outcome: 'updated', verification: { releaseId: 'r2' as RolloutHost['toReleaseId'], bootId: 'b', at } }),
  host('n1', { outcome: 'rolled_back', reason: { class: 'release', code: 'probe_failed', message: 'api-a never got ready' } }),
  host('n2', { openRunId: 'run' as RolloutHost['openRunId'] }),
  host('n3'),
  host('n4', { wave: null, action: 'skip', why: 'host_in_maintenance', outcome: 'skipped' }),
];
const run = {
  run: { runId: 'run', requestedAt: new Date(Date.now() - 61_000).toISOString() },
  progress: { phase: 'x', step: 'download', stepsDone: 1, stepsPlanned: 20, direction: 'do', waiting: null, steps: [] },
  pending: [{ activity: 'downloadBundle', attempt: 4, lastError: 'connection refused', nextAttemptAt: at }],
} as unknown as RunDetail;

describe('a rollout in words', () => {
  test('the tree says where each host stands and hangs, why one failed, and what the whole waits for and who can end it', () => {
    const text = renderTree({ rollout: rollout(), hosts, runs: new Map([['run', run]]), most: 10 });
    expect(text.split('\n').slice(0, -1)).toEqual([
      'rollout r  lab -> r2  paused',
      '  wave 0  controller  1 of 1',
      '    c1  updated  r1 -> r2, seen on r2 at 10:00:00',
      '> wave 1  node  1 of 3  1 failed',
      '    n1  rolled_back  r1 -> r2: api-a never got ready',
      '    n2  download (2 of 20), for 1 min 1 s, attempt 4: connection refused, next try 10:00:00',
      '    n3  to come',
      '  skipped  n4 (host_in_maintenance)',
      'waits for    a person: paused by ops',
      `since        ${at}`,
      'until        it comes',
      'released by  fairlead rollout resume, or abort',
    ]);
  });

  test('of a large wave those under way and those that failed are shown first, and the rest is counted', () => {
    const many = [...hosts.slice(1, 4), ...Array.from({ length: 40 }, (_, number) => host(`m${number}`, { outcome: 'updated' }))];
    const lines = renderTree({ rollout: rollout(), hosts: many, runs: new Map(), most: 3 }).split('\n').filter((line) => line.startsWith('    '));
    expect(lines).toEqual(['    n2  to come', '    n1  rolled_back  r1 -> r2: api-a never got ready', '    m0  updated  r1 -> r2', '    and 40 more']);
  });

  test('an ended one says how, why and what to do', () => {
    const text = renderTree({ rollout: rollout({ endedAt: at, outcome: 'failed', ok: false, reason: { class: 'release', code: 'budget_exceeded', message: '2 of 4 hosts failed; 1 may.', hint: 'See which.' } }), hosts: [], runs: new Map(), most: 3 });
    expect(text).toContain('rollout r  lab -> r2  failed, not ok');
    expect(text).toContain('why  2 of 4 hosts failed; 1 may.\n     See which.');
    expect(text).not.toContain('waits for');
  });

  test('the result for programs has for each host role, profile, from, to, outcome, verification and recovery', () => {
    const result = resultOf(rollout({ ok: false, outcome: 'partial' }), hosts);
    expect(result.ok).toBe(false);
    expect(result.hosts[0]).toEqual({ host: 'c1', role: 'controller', artifactRole: 'node', artifactProfile: 'small', from: 'r1', to: 'r2', outcome: 'updated', reason: null, verification: { releaseId: 'r2', bootId: 'b', at }, recovery: null, runId: null });
  });

  test('a plan lists its waves, what is left out, and the steps on the first host of each', () => {
    const planned = ({ host: name, role, artifactRole, fromReleaseId, toReleaseId, action, wave, position, why }: RolloutHost) => ({ host: name, role, artifactRole, fromReleaseId, toReleaseId, action, wave, position, why });
    const plan = { decision: 'plan', reason: null, product: 'lab', toReleaseId: 'r2', planDigest: 'd', plannedAt: at, strategy, waves: [{ number: 1, role: 'node', hosts: hosts.slice(1, 4).map(planned) }], unchanged: [], skipped: hosts.slice(4).map(planned), warnings: ['one is left out'], hostSteps: [{ host: 'n1', steps: ['open-intent', 'download'], note: null }] } as unknown as RolloutPlanAnswer;
    const text = renderRolloutPlan(plan);
    for (const part of ['3 hosts in 1 waves, 10 at a time', 'halts past 5 failures or 5 %, then: keep', '1 (nodes)', 'r1 -> r2', 'host_in_maintenance', 'n1: open-intent, download', 'warning: one is left out']) expect(text).toContain(part);
  });
});
