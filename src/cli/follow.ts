import { setTimeout as pause } from 'node:timers/promises';
import type { RunDetail } from '../contract/index.ts';
import type { RunEvent } from '../domain/run/event.ts';
import { exitCodeOf } from '../domain/run/report.ts';
import type { RunReport } from '../domain/run/report.ts';
import { ApiUnreachable } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import type { Context } from './context.ts';
import { printJson } from './context.ts';
import { CommandFailure, exitCodes } from './errors.ts';
import { readEvents } from './event-stream.ts';
import { eventLine, renderReport } from './report-text.ts';

export interface FollowOptions {
  readonly json: boolean;
  /** Seconds after which following ends with exit code 8; the run goes on. */
  readonly timeoutSeconds: number | null;
  /** How to come back: the words of the command line that name the API. */
  readonly comeBack: string;
}

/**
 * Follows a run to its end: its events as lines on standard error, the report on standard output, the exit code that belongs to the
 * outcome. A broken connection is taken up again after the last event, as long as it takes: the run does not depend on it.
 */
export async function followRun(api: ApiClient, runId: string, context: Context, options: FollowOptions): Promise<void> {
  const limit = options.timeoutSeconds === null ? [] : [AbortSignal.timeout(Math.ceil(options.timeoutSeconds * 1_000))];
  const leave = AbortSignal.any([context.interrupted, ...limit]);
  let report: RunReport;
  try {
    report = await untilEnd(api, runId, context, leave);
  } catch (error) {
    if (!leave.aborted) throw error;
    const why = context.interrupted.aborted ? 'detached; the run goes on' : `still running after ${options.timeoutSeconds} s; the run goes on`;
    throw new CommandFailure(exitCodes.stillRunning, why, `come back: fairlead runs watch ${runId}${options.comeBack}\ncancel it: fairlead runs cancel ${runId} --reason "…"${options.comeBack}`);
  }
  if (options.json) printJson(context, report);
  else context.out(renderReport(report));
  context.exitWith(exitCodeOf[report.outcome]);
}

async function untilEnd(api: ApiClient, runId: string, context: Context, leave: AbortSignal): Promise<RunReport> {
  let after = 0;
  let pauseMs = 100;
  let told = false;
  for (;;) {
    leave.throwIfAborted();
    try {
      const path = `/api/runs/${encodeURIComponent(runId)}`;
      const { report } = await api.get<Pick<RunDetail, 'report'>>(path, { cancel: leave });
      const response = await api.open(`${path}/events`, { headers: { accept: 'text/event-stream', ...(after === 0 ? {} : { 'last-event-id': String(after) }) }, cancel: leave });
      if (told) context.note('the connection is back');
      told = false;
      for await (const { data } of readEvents(response.body ?? emptyBody())) {
        const event = JSON.parse(data) as RunEvent;
        if (event.sequence <= after) continue;
        after = event.sequence;
        pauseMs = 100;
        context.note(eventLine(event));
        // The report is stored before its event; what follows (a recovery by hand) is not waited for.
        if (event.kind === 'run_ended') break;
      }
      const ended = report ?? (await api.get<Pick<RunDetail, 'report'>>(path, { cancel: leave })).report;
      if (ended !== null) return ended;
    } catch (error) {
      leave.throwIfAborted();
      // A stream that breaks off in the middle throws what the network said: worth another try, as is an API that restarts.
      if ((error instanceof CommandFailure && !(error instanceof ApiUnreachable)) || error instanceof SyntaxError) throw error;
      if (!told) context.note(`${error instanceof ApiUnreachable ? error.message : 'the connection broke off'}; the run goes on without it, trying again …`);
      told = true;
    }
    await pause(pauseMs, undefined, { signal: leave });
    pauseMs = Math.min(pauseMs * 2, 3_000);
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
