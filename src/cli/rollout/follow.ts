import { setTimeout as pause } from 'node:timers/promises';
import type { Rollout } from '../../contract/index.ts';
import { rolloutExitCode } from '../../domain/rollout/outcome.ts';
import type { RunEvent } from '../../domain/run/event.ts';
import { ApiUnreachable, type ApiClient } from '../api-client.ts';
import { printJson, type Context } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { readEvents } from '../event-stream.ts';
import type { FollowOptions } from '../follow.ts';
import { eventLine } from '../report-text.ts';
import { allHosts, openRuns, resultOf } from './answer.ts';
import { renderTree } from './text.ts';

const lookMs = 1_000;
const hostsShown = 12;

/**
 * Follows a rollout to its end: a tree that is drawn anew on a terminal, lines elsewhere; the result on standard output, the exit code that belongs to the outcome. What
 * breaks off is taken up again: the rollout does not depend on it.
 */
export async function followRollout(api: ApiClient, rolloutId: string, context: Context, options: FollowOptions): Promise<void> {
  const limit = options.timeoutSeconds === null ? [] : [AbortSignal.timeout(Math.ceil(options.timeoutSeconds * 1_000))];
  const leave = AbortSignal.any([context.interrupted, ...limit]);
  let rollout: Rollout;
  try {
    rollout = await (context.terminal && !options.json ? drawUntilEnd : tellUntilEnd)(api, rolloutId, context, leave);
  } catch (error) {
    if (!leave.aborted) throw error;
    const why = context.interrupted.aborted ? 'detached; the rollout goes on' : `still under way after ${options.timeoutSeconds} s; the rollout goes on`;
    throw new CommandFailure(exitCodes.stillRunning, why, `come back: fairlead rollout watch ${rolloutId}${options.comeBack}\nhold it: fairlead rollout pause ${rolloutId}${options.comeBack}`);
  }
  await printRollout(api, rollout, context, options.json);
  // Whoever reads only the code must not take a fleet for updated that was not seen to be.
  if (rollout.outcome !== null) context.exitWith(rollout.ok === true ? rolloutExitCode[rollout.outcome] : rolloutExitCode[rollout.outcome] || exitCodes.failed);
}

/** The rollout as it stands, or as it ended: the tree, or its result as JSON. */
export async function printRollout(api: ApiClient, rollout: Rollout, context: Context, json: boolean): Promise<void> {
  const hosts = await allHosts(api, rollout.rolloutId);
  if (json) return printJson(context, resultOf(rollout, hosts));
  context.out(renderTree({ rollout, hosts, runs: rollout.endedAt === null ? await openRuns(api, hosts) : new Map(), most: 200 }));
}

type Follow = (api: ApiClient, rolloutId: string, context: Context, leave: AbortSignal) => Promise<Rollout>;

const drawUntilEnd: Follow = async (api, rolloutId, context, leave) => {
  let drawn = 0;
  for (;;) {
    leave.throwIfAborted();
    const rollout = await patiently(context, leave, () => api.get<Rollout>(`/api/rollouts/${rolloutId}`));
    const hosts = await patiently(context, leave, () => allHosts(api, rolloutId));
    const text = renderTree({ rollout, hosts, runs: await openRuns(api, hosts), most: hostsShown });
    if (rollout.endedAt !== null) {
      if (drawn > 0) context.draw(`\u001b[${drawn}A\u001b[J`);
      return rollout;
    }
    // Up to where it was drawn last, and everything below it away.
    context.draw(`${drawn > 0 ? `\u001b[${drawn}A\u001b[J` : ''}${text}`);
    drawn = text.split('\n').length - 1;
    await pause(lookMs, undefined, { signal: leave });
  }
};

const tellUntilEnd: Follow = async (api, rolloutId, context, leave) => {
  let after = 0;
  for (;;) {
    leave.throwIfAborted();
    const rollout = await patiently(context, leave, () => api.get<Rollout>(`/api/rollouts/${rolloutId}`));
    after = await patiently(context, leave, async () => {
      let last = after;
      const response = await api.open(`/api/rollouts/${rolloutId}/events`, { headers: { accept: 'text/event-stream', ...(last === 0 ? {} : { 'last-event-id': String(last) }) }, cancel: leave });
      if (response.body) {
        for await (const { data } of readEvents(response.body)) {
          const event = JSON.parse(data) as RunEvent;
          if (event.sequence <= last) continue;
          last = after = event.sequence;
          context.note(eventLine(event));
          if (event.kind === 'run_ended') break;
        }
      }
      return last;
    });
    const now = rollout.endedAt === null ? await patiently(context, leave, () => api.get<Rollout>(`/api/rollouts/${rolloutId}`)) : rollout;
    if (now.endedAt !== null) return now;
    await pause(200, undefined, { signal: leave });
  }
};

/** An API that is being restarted, or a connection that broke off, ends nothing. */
async function patiently<Value>(context: Context, leave: AbortSignal, ask: () => Promise<Value>): Promise<Value> {
  for (let told = false, pauseMs = 200; ; pauseMs = Math.min(2 * pauseMs, 3_000)) {
    try {
      return await ask();
    } catch (error) {
      leave.throwIfAborted();
      if ((error instanceof CommandFailure && !(error instanceof ApiUnreachable)) || error instanceof SyntaxError) throw error;
      if (!told) context.note(`${error instanceof ApiUnreachable ? error.message : 'the connection broke off'}; the rollout goes on without it, trying again …`);
      told = true;
      await pause(pauseMs, undefined, { signal: leave });
    }
  }
}
