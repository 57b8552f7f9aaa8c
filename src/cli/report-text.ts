import type { Evidence } from '../domain/failure.ts';
import type { RunEvent } from '../domain/run/event.ts';
import type { Outcome, RunReport, StepReport } from '../domain/run/report.ts';
import { duration, renderPairs } from './table.ts';

/** A line of a run as it goes: the time of day, where it stands, what happened. */
export function eventLine({ at, kind, step, message }: RunEvent): string {
  const mark: Record<RunEvent['kind'], string> = { run_started: '>', step_started: ' ', step_ended: ' ', undo_started: '<', waiting: '…', run_ended: '=', recovered: '=', rollout_changed: '>', rollout_progress: ' ' };
  return `${at.slice(11, 19)} ${mark[kind]} ${step === null || message.includes(step) ? '' : `${step}: `}${message}`;
}

const headline: Readonly<Record<Outcome, string>> = {
  succeeded: 'SUCCEEDED',
  unchanged: 'UNCHANGED',
  refused: 'REFUSED',
  rolled_back: 'ROLLED BACK',
  stranded: 'STRANDED: this host needs a person',
  cancelled: 'CANCELLED',
};

/** What a person needs who was woken up for it: how it ended, what state the host is in, why, what is known, what to type next. */
export function renderReport(report: RunReport): string {
  const parts = [
    `${headline[report.outcome]}  ${whatOf(report)}\n${isOfService(report) ? serviceStateOf(report) : stateOf(report)}\n`,
    reasonText(report),
    evidenceText(report.evidence),
    recoveryText(report),
    stepsText(report.steps),
    isOfService(report) ? serviceNextText(report) : nextText(report),
    renderPairs([
      ['run', `${report.runId} (${report.workflowId})`],
      ['took', `${duration(Date.parse(report.endedAt) - Date.parse(report.startedAt))}, from ${report.startedAt} to ${report.endedAt}, asked for by ${report.requestedBy}`],
      ...(report.backupPath === null ? [] : [['backup', report.backupPath] as const]),
    ]),
  ];
  return `${parts.filter((part) => part !== '').join('\n')}`;
}

/** Runs about services and certificates change no release. */
const isOfService = ({ kind }: RunReport): boolean => kind === 'restart' || kind === 'scale' || kind === 'cert-renewal';

function whatOf({ kind, product, host, fromReleaseId, toReleaseId }: RunReport): string {
  if (kind === 'restart') return `restart of a service of ${product} on ${host}, on ${toReleaseId}`;
  if (kind === 'cert-renewal') return `certificate of ${product} on ${host}`;
  if (kind === 'scale') return `instances of ${product} on ${host}, on ${toReleaseId}`;
  return `${product} on ${host}: ${fromReleaseId ?? 'nothing'} -> ${toReleaseId}`;
}

function serviceStateOf({ outcome, host, toReleaseId, recovery }: RunReport): string {
  switch (outcome) {
    case 'succeeded':
      return `${host} is healthy on ${toReleaseId}.`;
    case 'unchanged':
      return 'It was as asked already; nothing was done.';
    case 'refused':
      return `Nothing that serves was touched: ${host} is as it was.`;
    case 'rolled_back':
      return `It failed and was undone: ${host} is healthy on ${toReleaseId}.`;
    case 'cancelled':
      return `The run was cancelled: ${host} is healthy on ${toReleaseId}.`;
    case 'stranded':
      return `It failed, and bringing its instances back failed as well, at ${recovery?.stuckAt ?? 'an unknown step'}. ${host} may serve with fewer instances, or not at all.`;
  }
}

function serviceNextText({ outcome, host, product, recovery, runId }: RunReport): string {
  switch (outcome) {
    case 'succeeded':
    case 'unchanged':
      return '';
    case 'refused':
    case 'rolled_back':
      return 'Next: mend what is named above and ask again.\n';
    case 'cancelled':
      return 'Next: ask again when it is time.\n';
    case 'stranded': {
      const commands = recovery?.commands.length ? recovery.commands : [`fairlead recover --product ${product} --run ${runId}`];
      return `Next, mend what is named above, then on ${host}:\n${commands.map((command) => `  ${command}\n`).join('')}Until then the host refuses other runs.\n`;
    }
  }
}

function stateOf({ outcome, host, fromReleaseId, toReleaseId, recovery }: RunReport): string {
  const before = fromReleaseId === null ? 'has nothing installed, as before' : `is healthy on ${fromReleaseId}, as before`;
  switch (outcome) {
    case 'succeeded':
      return `${host} is healthy on ${toReleaseId}.`;
    case 'unchanged':
      return `${host} is on ${toReleaseId} already; nothing was done.`;
    case 'refused':
      return `Nothing was touched: ${host} is as it was.`;
    case 'rolled_back':
      return `The update failed and was undone: ${host} ${before}.`;
    case 'cancelled':
      return `The run was cancelled and undone: ${host} ${before}.`;
    case 'stranded':
      return `The update failed, and undoing it failed as well, at ${recovery?.stuckAt ?? 'an unknown step'}. ${host} may serve nothing, or two releases at once.\nIts current release is ${recovery?.activeReleaseId ?? 'unknown (the host could not be asked)'}; the last good one is ${recovery?.lastGoodReleaseId ?? 'none'}.`;
  }
}

function reasonText({ reason }: RunReport): string {
  if (reason === null) return '';
  const blame: Record<string, string> = { release: 'the release is at fault', host: 'the host is at fault', dependency: 'something that Fairlead depends on is at fault', orchestrator: 'Fairlead itself is at fault', request: 'the request cannot be carried out' };
  return `Why: ${reason.message} (${reason.code}; ${blame[reason.class] ?? reason.class})\n${reason.hint === undefined ? '' : `     ${reason.hint}\n`}`;
}

const shownEvidence = 6;
const shownLines = 12;

function evidenceText(evidence: readonly Evidence[]): string {
  // Failing probes first: they are why the run turned round. The last one of a probe says what the others said.
  const weight = (item: Evidence): number => (item.kind === 'probe' ? (item.passed ? 3 : 0) : item.kind === 'log' ? 1 : 2);
  const last = new Map<string, Evidence>();
  for (const item of evidence) last.set(`${item.kind} ${'probe' in item ? `${item.probe} ${item.target} ${item.passed}` : 'instance' in item ? item.instance : item.command}`, item);
  const chosen = [...last.values()].sort((a, b) => weight(a) - weight(b)).slice(0, shownEvidence);
  if (chosen.length === 0) return '';
  const more = evidence.length - chosen.length;
  return `Evidence:\n${chosen.map(oneEvidence).join('')}${more > 0 ? `  (${more} more with --json)\n` : ''}`;
}

function oneEvidence(item: Evidence): string {
  switch (item.kind) {
    case 'probe':
      return `  ${item.passed ? 'passed' : 'FAILED'}  probe ${item.probe} of ${item.target} at ${item.at.slice(11, 19)}: ${indented(item.answer)}\n`;
    case 'log':
      return `  last lines of ${item.path}:\n${item.lines.slice(-shownLines).map((line) => `    | ${line}\n`).join('')}`;
    case 'unit':
      return `  ${item.instance} was ${item.status}${item.exit === null ? '' : `, ended with ${item.exit}`}\n`;
    case 'command':
      return `  ${item.command} ended with ${item.exit}: ${indented(item.output)}\n`;
  }
}

const indented = (text: string): string => text.trim().split('\n').slice(-shownLines).join('\n    | ');

function recoveryText({ recovery }: RunReport): string {
  if (recovery === null) return '';
  const undone = recovery.undone.length === 0 ? 'nothing' : recovery.undone.join(', ');
  const instances = recovery.instances.map(({ name, status, releaseId }) => `  ${name} is ${status}${releaseId === null ? '' : ` on ${releaseId}`}\n`).join('');
  return `${renderPairs([
    ['failed at', recovery.failedStep],
    ...(recovery.stuckAt === '' ? [] : [['stuck at', `${recovery.stuckAt}: ${recovery.reason.message}`] as const]),
    ['undone', undone],
    ['backup', recovery.backupPath ?? 'none was made'],
  ])}${instances}`;
}

function stepsText(steps: readonly StepReport[]): string {
  if (steps.length === 0) return '';
  const lines = steps.map(({ name, instance, direction, outcome, durationMs, attempts, note, reason }) => {
    const what = `${direction === 'undo' ? 'undo ' : ''}${name}${instance === undefined ? '' : ` ${instance}`}`;
    const rest = [outcome === 'done' ? '' : outcome.toUpperCase(), attempts > 1 ? `${attempts} attempts` : '', outcome === 'failed' ? (reason?.message ?? '') : (note ?? '')].filter((part) => part !== '');
    return [what, `${duration(durationMs).padStart(8)}  ${rest.join(', ')}`] as const;
  });
  return `Steps:\n${renderPairs(lines, '  ')}`;
}

function nextText({ outcome, host, product, toReleaseId, recovery, runId }: RunReport): string {
  switch (outcome) {
    case 'succeeded':
    case 'unchanged':
      return '';
    case 'refused':
      return `Next: mend what is named above and ask again.\n`;
    case 'rolled_back':
      return `Next: mend the release and publish it under a new id. To try this one again all the same:\n  fairlead update apply ${toReleaseId} --host ${host} --product ${product} --allow-failed --reason TEXT\n`;
    case 'cancelled':
      return `Next: when it is time again:\n  fairlead update apply ${toReleaseId} --host ${host} --product ${product}\n`;
    case 'stranded': {
      const commands = recovery?.commands ?? [];
      return `Next, on ${host}${commands.length === 0 ? `:\n  fairlead recover --product ${product} --run ${runId}\n` : `:\n${commands.map((command) => `  ${command}\n`).join('')}`}Until then the host refuses other runs.\n`;
    }
  }
}
