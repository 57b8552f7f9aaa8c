import type { Reason } from '../failure.ts';
import { namePattern } from '../ids.ts';
import { busyPolicies, failurePolicies, type RolloutRequest, type WaveSizing } from './request.ts';

/** What the parent workflow can hold: at most so many waves, and so many hosts (children of its shards) at a time. */
export const limits = { waves: 200, parallel: 1000, gates: 20, shardHosts: 500, seconds: 366 * 86_400 } as const;

/**
 * Everything that is wrong with a request by itself, without the fleet; empty when it may be planned. Cron expressions and zones are the calendar's to refuse.
 */
export function checkRolloutRequest({ strategy, target, whenBusy }: RolloutRequest): readonly Reason[] {
  const problems: Reason[] = [];
  const refuse = (code: string, message: string, hint: string): void => void problems.push({ class: 'request', code, message, hint });
  const seconds = (name: string, value: number | null, least = 0): void => {
    if (value !== null && !(Number.isFinite(value) && value >= least && value <= limits.seconds)) refuse('duration_out_of_range', `${name} is ${value}; it has to be between ${least} and ${limits.seconds} seconds.`, 'Give another number of seconds.');
  };
  if (!isWhole(strategy.maxParallel, 1, limits.parallel)) refuse('parallel_out_of_range', `maxParallel is ${strategy.maxParallel}; it has to be a whole number from 1 to ${limits.parallel}.`, 'Give another number.');
  const sizing = sizingProblem(strategy.waves);
  if (sizing) refuse('waves_unusable', sizing, 'For example: tiers 1,10,50,100, or 20 hosts, or 10 %.');
  const { count, percent } = strategy.budget;
  if (count !== null && !isWhole(count, 0, Number.MAX_SAFE_INTEGER)) refuse('budget_unusable', `The budget's count is ${count}; it has to be a whole number, 0 or more.`, 'Say how many hosts may fail.');
  if (percent !== null && !(percent >= 0 && percent <= 100)) refuse('budget_unusable', `The budget's percent is ${percent}; it has to be from 0 to 100.`, 'Say which share of the hosts may fail.');
  if (!failurePolicies.includes(strategy.onFailure)) refuse('policy_unknown', `${String(strategy.onFailure)} is no policy for hosts that are updated already.`, `One of: ${failurePolicies.join(', ')}.`);
  if (!busyPolicies.includes(whenBusy)) refuse('policy_unknown', `${String(whenBusy)} is no policy for a product with an open rollout.`, `One of: ${busyPolicies.join(', ')}.`);
  seconds('bakeSeconds', strategy.bakeSeconds);
  seconds('decisionSeconds', strategy.decisionSeconds);
  if (strategy.offline.policy === 'wait') seconds('waitSeconds', strategy.offline.waitSeconds);
  if (target.kind === 'hosts') {
    if (target.hosts.length === 0) refuse('no_hosts', 'The rollout names no host.', 'Name at least one, or ask for all.');
    if (new Set(target.hosts).size < target.hosts.length) refuse('host_repeated', 'A host is named more than once.', 'Name each host once.');
  }
  if (strategy.gates.length > limits.gates) refuse('too_many_gates', `The rollout has ${strategy.gates.length} gates; ${limits.gates} are the most.`, 'Ask several things in one gate.');
  if (new Set(strategy.gates.map(({ name }) => name)).size < strategy.gates.length) refuse('gate_repeated', 'Two gates have the same name.', 'Give each gate a name of its own.');
  const windows = strategy.gates.filter(({ kind }) => kind === 'window');
  const places = windows.flatMap(({ before }) => (typeof before === 'string' ? [] : before));
  if (windows.length > 1 && (windows.some(({ before }) => typeof before === 'string') || new Set(places).size < places.length)) {
    refuse('window_repeated', 'Two windows stand before the same wave.', 'Give the gates of kind window different waves.');
  }
  for (const gate of strategy.gates) {
    if (!namePattern.test(gate.name)) refuse('gate_name', `${JSON.stringify(gate.name)} is no name for a gate.`, 'Lower-case letters, digits, dots and dashes.');
    if (typeof gate.before !== 'string' && !gate.before.every((wave) => isWhole(wave, 0, limits.waves))) refuse('gate_place', `Gate ${gate.name} stands before a wave that cannot be.`, `Waves are numbered from 0 (controllers) to ${limits.waves}.`);
    if (gate.kind === 'approval' && !isWhole(gate.quorum, 1, 100)) refuse('quorum_out_of_range', `Gate ${gate.name} asks for ${gate.quorum} approvals.`, 'A whole number from 1 to 100.');
    if (gate.kind === 'window') seconds(`durationSeconds of gate ${gate.name}`, gate.window.durationSeconds, 60);
    else seconds(`timeoutSeconds of gate ${gate.name}`, gate.timeoutSeconds, 1);
    if (gate.kind === 'metric' || gate.kind === 'external') seconds(`everySeconds of gate ${gate.name}`, gate.everySeconds, 1);
    if (gate.kind === 'metric' && gate.min === null && gate.max === null) refuse('metric_without_limit', `Gate ${gate.name} has neither a least nor a greatest value.`, 'Give min, max, or both.');
  }
  return problems;
}

function sizingProblem(waves: WaveSizing): string | null {
  if (waves.by === 'count') return isWhole(waves.hosts, 1, Number.MAX_SAFE_INTEGER) ? null : `A wave of ${waves.hosts} hosts cannot be.`;
  if (waves.by === 'percent') return waves.percent > 0 && waves.percent <= 100 ? null : `A wave of ${waves.percent} % cannot be.`;
  const { percents } = waves;
  const rising = percents.every((percent, index) => percent > (percents[index - 1] ?? 0) && percent <= 100);
  return percents.length > 0 && rising && percents.at(-1) === 100 ? null : `The tiers ${percents.join(', ')} do not rise to 100.`;
}

const isWhole = (value: number, least: number, most: number): boolean => Number.isSafeInteger(value) && value >= least && value <= most;
