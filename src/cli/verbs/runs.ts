import type { Command } from 'commander';
import type { RunCancelAnswer, RunDetail, RunList } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { followRun } from '../follow.ts';
import { renderReport } from '../report-text.ts';
import { duration, renderPairs, renderTable } from '../table.ts';
import { apiCommand, connectionWords, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerRuns(program: Command, context: Context): void {
  const runs = program.command('runs').description('what was done, and what is under way');

  apiCommand(
    runs.command('list').description('newest first').option('--host <host>').option('--product <product>').option('--outcome <outcome>').option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 20).option('--before <run>', 'only older ones than this run'),
    context,
    async (api, { host, product, outcome, limit, before, json }: CommonOptions & { host?: string; product?: string; outcome?: string; limit: number; before?: string }) => {
      const list = await api.get<RunList>(`/api/runs${query({ host, product, outcome, limit, before })}`);
      if (json) return printJson(context, list);
      const rows = list.runs.map((run) => [run.runId, run.host, run.product, `${run.fromReleaseId ?? '-'} -> ${run.toReleaseId}`, run.outcome === null ? 'under way' : `${run.outcome}${run.recoveredAt === null ? '' : ', recovered by hand'}`, run.requestedAt, run.endedAt === null ? '' : duration(Date.parse(run.endedAt) - Date.parse(run.requestedAt))]);
      context.out(renderTable(['RUN', 'HOST', 'PRODUCT', 'RELEASE', 'OUTCOME', 'ASKED FOR AT', 'TOOK'], rows));
      if (rows.length === 0) context.note('no runs');
      if (list.nextBefore !== null) context.note(`older ones: --before ${list.nextBefore}`);
    },
  );

  apiCommand(runs.command('show').description('one run: its report, or where it stands').argument('<run>'), context, async (api, options: CommonOptions, runId: string) => {
    const detail = await api.get<RunDetail>(`/api/runs/${encodeURIComponent(runId)}`);
    if (options.json) return printJson(context, detail);
    context.out(detail.report === null ? renderUnderWay(detail) : renderReport(detail.report));
    if (detail.run.recoveredAt !== null) context.out(`recovered  by hand, at ${detail.run.recoveredAt}\n`);
    if (detail.links.temporalUi !== null) context.note(detail.links.temporalUi);
  });

  apiCommand(
    runs.command('watch').description('follow a run to its end').argument('<run>').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout')),
    context,
    (api, options: CommonOptions & { timeout?: number }, runId: string) => followRun(api, runId, context, { json: options.json === true, timeoutSeconds: options.timeout ?? null, comeBack: connectionWords(options) }),
  );

  apiCommand(runs.command('cancel').description('undo a run that is under way').argument('<run>').requiredOption('--reason <text>', 'goes into the report and the audit'), context, async (api, options: CommonOptions & { reason: string }, runId: string) => {
    const answer = await api.post<RunCancelAnswer>(`/api/runs/${encodeURIComponent(runId)}/cancel`, { body: { reason: options.reason } });
    if (options.json) return printJson(context, answer);
    context.out(answer.state === 'requested' ? `run ${runId} is told to undo what it did\n` : `run ${runId} has ended already\n`);
    context.note(`see how it ends: fairlead runs watch ${runId}${connectionWords(options)}`);
  });
}

function renderUnderWay({ run, progress, pending, liveError }: RunDetail): string {
  const pairs: [string, string][] = [
    ['run', `${run.runId} (${run.workflowId})`],
    ['under way', `${run.product} on ${run.host}: ${run.fromReleaseId ?? 'nothing'} -> ${run.toReleaseId}, asked for by ${run.requestedBy} at ${run.requestedAt}`],
  ];
  if (progress !== null) pairs.push(['step', `${progress.stepsDone + 1} of ${progress.stepsPlanned}: ${progress.step ?? progress.phase}${progress.direction === 'undo' ? ' (undoing)' : ''}`]);
  if (progress?.waiting) pairs.push(['waits for', `${progress.waiting.for}, since ${progress.waiting.since}${progress.waiting.until === null ? '' : `, until ${progress.waiting.until}`}; ends with: ${progress.waiting.release}`]);
  for (const { activity, attempt, lastError } of pending) pairs.push(['hangs on', `${activity}, attempt ${attempt}${lastError === null ? '' : `: ${lastError}`}`]);
  if (liveError !== null) pairs.push(['unknown', liveError]);
  return renderPairs(pairs);
}
