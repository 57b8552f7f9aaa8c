import type { Rollout, RolloutHost, RolloutPlanAnswer, RunDetail } from '../../contract/index.ts';
import { duration, renderPairs, renderTable } from '../table.ts';

type Wave = Rollout['waves'][number];
const doneIn = ({ counts }: Wave): number => counts.updated + counts.unchanged + counts.failed + counts.left;

/** `updated` in words, and where it hangs. @param run of a host that is being changed */
function hostLine({ host, outcome, reason, action, verification, fromReleaseId, toReleaseId }: RolloutHost, run: RunDetail | null): string {
  const name = `    ${host}`;
  if (outcome === null) {
    if (run === null) return `${name}  ${action === 'wait' ? 'waits to be reached' : 'to come'}`;
    const { progress, pending, run: row } = run;
    const step = progress === null ? 'under way' : `${progress.direction === 'undo' ? 'undoing: ' : ''}${progress.step ?? progress.phase} (${progress.stepsDone + 1} of ${progress.stepsPlanned})`;
    const hangs = pending.find(({ lastError }) => lastError !== null);
    const trouble = hangs ? `, attempt ${hangs.attempt}: ${hangs.lastError}${hangs.nextAttemptAt === null ? '' : `, next try ${hangs.nextAttemptAt.slice(11, 19)}`}` : '';
    const wait = progress?.waiting ? `, waits for ${progress.waiting.for}${progress.waiting.until === null ? '' : ` until ${progress.waiting.until.slice(11, 19)}`}` : '';
    return `${name}  ${step}, for ${duration(Date.now() - Date.parse(row.requestedAt))}${trouble}${wait}`;
  }
  const seen = verification === null ? '' : `, seen on ${verification.releaseId} at ${verification.at.slice(11, 19)}`;
  return `${name}  ${outcome}  ${fromReleaseId ?? 'nothing'} -> ${toReleaseId}${seen}${reason === null ? '' : `: ${reason.message}`}`;
}

export interface TreeInput {
  readonly rollout: Rollout;
  readonly hosts: readonly RolloutHost[];
  /** Of hosts that are being changed, by run id. */
  readonly runs: ReadonlyMap<string, RunDetail>;
  /** How many hosts of a wave are shown at most; failures and those under way come first. */
  readonly most: number;
}

/** Waves, hosts, where each stands and hangs, and what the whole waits for. */
export function renderTree({ rollout, hosts, runs, most }: TreeInput): string {
  const { standing, waves } = rollout;
  const head = `rollout ${rollout.rolloutId}  ${rollout.product} -> ${rollout.releaseId}  ${rollout.outcome ?? standing.status}${rollout.ok === null ? '' : rollout.ok ? ', ok' : ', not ok'}\n`;
  const lines = waves.flatMap((wave) => {
    const own = hosts.filter((host) => host.wave === wave.number);
    const mark = standing.wave === wave.number ? '>' : ' ';
    const { counts } = wave;
    const more = [counts.failed > 0 ? `${counts.failed} failed` : '', counts.left > 0 ? `${counts.left} left` : '', counts.returned > 0 ? `${counts.returned} taken back` : '', counts.notReturned > 0 ? `${counts.notReturned} NOT taken back` : ''].filter(Boolean).join(', ');
    const rank = (host: RolloutHost): number => (host.outcome === null && host.openRunId !== null ? 0 : host.reason !== null ? 1 : host.outcome === null ? 3 : 2);
    const shown = own.length <= most ? own : [...own].sort((a, b) => rank(a) - rank(b)).slice(0, most);
    return [
      `${mark} wave ${wave.number}  ${wave.role}  ${doneIn(wave)} of ${wave.hosts}${more === '' ? '' : `  ${more}`}\n`,
      ...shown.map((host) => `${hostLine(host, host.openRunId === null ? null : (runs.get(host.openRunId) ?? null))}\n`),
      ...(own.length > shown.length ? [`    and ${own.length - shown.length} more\n`] : []),
    ];
  });
  const aside = hosts.filter(({ wave, action }) => wave === null && action === 'skip');
  const skipped = aside.length === 0 ? '' : `  skipped  ${aside.slice(0, most).map(({ host, why }) => `${host} (${why ?? 'left alone'})`).join(', ')}${aside.length > most ? ` and ${aside.length - most} more` : ''}\n`;
  const waiting = standing.waiting === null || rollout.endedAt !== null ? '' : renderPairs([['waits for', standing.waiting.for], ['since', standing.waiting.since], ['until', standing.waiting.until ?? 'it comes'], ['released by', standing.waiting.release]]);
  const reason = rollout.reason === null ? '' : `why  ${rollout.reason.message}\n${rollout.reason.hint === undefined ? '' : `     ${rollout.reason.hint}\n`}`;
  return head + lines.join('') + skipped + reason + waiting;
}

/** Waves and what a run will do on the first host of each, before anything happens. */
export function renderRolloutPlan(plan: RolloutPlanAnswer): string {
  if (plan.reason !== null) return `refused  ${plan.reason.message}\n         ${plan.reason.hint ?? ''}\n`;
  const rows = plan.waves.flatMap(({ number, role, hosts }) => hosts.map(({ host, fromReleaseId, toReleaseId, action }, at) => [at === 0 ? `${number} (${role}s)` : '', host, `${fromReleaseId ?? 'nothing'} -> ${toReleaseId}`, action === 'update' ? '' : action]));
  const aside = [...plan.skipped, ...plan.unchanged].map(({ host, action, why, fromReleaseId }) => [action, host, fromReleaseId ?? 'nothing', why ?? '']);
  const steps = plan.hostSteps.map(({ host, steps: each, note }) => `${host}: ${each.length > 0 ? each.join(', ') : (note ?? 'nothing to do')}\n`).join('');
  const { maxParallel, bakeSeconds, budget, onFailure } = plan.strategy;
  return [
    `${plan.product} -> ${plan.toReleaseId}: ${plan.waves.reduce((sum, { hosts }) => sum + hosts.length, 0)} hosts in ${plan.waves.length} waves, ${maxParallel} at a time, ${bakeSeconds} s between waves\n`,
    `halts past ${[budget.count === null ? '' : `${budget.count} failures`, budget.percent === null ? '' : `${budget.percent} %`].filter(Boolean).join(' or ') || 'no limit'}, then: ${onFailure}\n`,
    renderTable(['WAVE', 'HOST', 'RELEASE', 'NOTE'], [...rows, ...aside]),
    steps === '' ? '' : `steps on the first host of each wave\n${steps}`,
    ...plan.warnings.map((warning) => `warning: ${warning}\n`),
  ].join('');
}
