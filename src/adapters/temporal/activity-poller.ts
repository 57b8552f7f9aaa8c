import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import { ApplicationFailure, DefaultFailureConverter, defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { asFairleadError } from '../../domain/system-failure.ts';
import type { ActivityContext } from '../../ports/host-activity.ts';
import { toApplicationFailure } from './failure.ts';
import type { InFlightActivity, InFlightJournal } from './in-flight.ts';
import { isSealed, noCodec, sealFailure, type AnsweringCodec } from './payload-codec.ts';
import { traceOf } from './trace-header.ts';

type Task = temporal.api.workflowservice.v1.IPollActivityTaskQueueResponse;
type Activity = (input: never, context: ActivityContext) => Promise<unknown>;

export interface PollerLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Takes known secrets out of a text. In JSON as well: it puts nothing in that JSON would have to escape. */
export type Conceal = (text: string) => Promise<string>;

/** One attempt of an activity, as it reached this process. */
export interface ActivityCall {
  readonly name: string;
  readonly attempt: number;
  readonly input: unknown;
  /** The trace that it belongs to, where it does: `traceparent` of whoever began it, and the execution that asked for it. */
  readonly trace?: { readonly parent: string; readonly workflowId: string; readonly runId: string };
}
/** Runs `run`, and may do something before, after or instead. */
export type AroundActivity = (call: ActivityCall, run: () => Promise<unknown>) => Promise<unknown>;

export interface PollerOptions {
  readonly connection: Connection;
  readonly namespace: string;
  readonly taskQueue: string;
  /** Shown in the Web UI's worker column: `agent@h1#0.1.0`. */
  readonly identity: string;
  readonly activities: Readonly<Record<string, Activity>>;
  readonly maxConcurrent: number;
  readonly inFlight: InFlightJournal;
  /**
   * Whether task tokens are sealed to this host, as they come from the gateway: then they may lie on the disk beside the host's key, without which they are
   * worth nothing, and what a dead process left behind is given up by them. Default: no, and it is given up by its id, which the gateway refuses.
   */
  readonly sealedTokens?: boolean;
  /** Opens what comes encrypted; what came so is answered so. Left out, such a task is refused (`payload_codec_missing`). */
  readonly codec?: AnsweringCodec | null;
  /** Takes known secrets out of what failures tell. Left out: nothing is. */
  readonly conceal?: Conceal;
  readonly logger: PollerLogger;
  /** Stands around every attempt; for tests that kill the process at a chosen moment. */
  readonly around?: AroundActivity;
}

/** The server holds a poll for 60 s; a little more here, so that it is the server that ends it. */
const pollDeadlineMs = 70_000;
const longestBeatMs = 2_000;
const longestBackoffMs = 10_000;
/** For how long an answer is offered to a server that is away. After that the attempt counts as lost, and is made again. */
const answerPatienceMs = 300_000;

const grpcNotFound = 5;
/** Of the gateway: it will not take this token now or later. A key that is refused has another code (16), since a host may get a new one. */
const grpcPermissionDenied = 7;

/**
 * Runs a host's activities: one long poll at a time, bounded concurrency, heartbeats that also bring cancels, and a drain on `stop`. Pure
 * JavaScript on the client's connection, because the SDK's native worker does not load on musl and weighs more than the rest of the agent.
 */
export function createActivityPoller(options: PollerOptions) {
  const { connection, namespace, taskQueue, identity, activities, maxConcurrent, inFlight, logger, sealedTokens = false, codec = null, conceal = async (text: string) => text } = options;
  const service = connection.workflowService;
  const failures = new DefaultFailureConverter();
  const codedFailures = new DefaultFailureConverter({ encodeCommonAttributes: true });
  const stopping = new AbortController();
  let openPoll: AbortController | null = null;
  const workAbort = new AbortController();
  const running = new Set<Promise<void>>();
  let polls = 0;

  /** Tells the server of attempts that died with the process before this one: they are made again at once. */
  async function giveUpLeftovers(): Promise<void> {
    for (const left of await inFlight.leftovers()) {
      const { workflowId, runId, activityId, activityType } = left;
      const failure = failures.errorToFailure(
        ApplicationFailure.create({ message: `the agent's process ended during ${activityType}`, type: 'agent_restarted', nonRetryable: false }),
        defaultPayloadConverter,
      );
      const taskToken = left.sealedTaskToken === undefined ? null : Buffer.from(left.sealedTaskToken, 'base64');
      if (!sealedTokens) await answer(`give up ${activityType}`, () => service.respondActivityTaskFailedById({ namespace, workflowId, runId, activityId, failure, identity }));
      // One that was begun without the gateway has no such token: the server gives it up by itself, at the heartbeat limit.
      else if (taskToken !== null) await answer(`give up ${activityType}`, () => service.respondActivityTaskFailed({ namespace, taskToken, failure, identity }));
      await inFlight.leave(left);
      logger.warn({ workflowId, activityType }, 'gave up an attempt that the process before this one had begun');
    }
  }

  async function poll(): Promise<Task | null> {
    polls += 1;
    // A signal for each poll: the connection never takes its listener off again, and with it every call of the process's life would stay in memory.
    openPoll = new AbortController();
    try {
      const task = await connection.withAbortSignal(openPoll.signal, () =>
        connection.withDeadline(Date.now() + pollDeadlineMs, () =>
          service.pollActivityTaskQueue({ namespace, taskQueue: { name: taskQueue }, identity, taskQueueMetadata: {} }),
        ),
      );
      return task.taskToken && task.taskToken.length > 0 ? task : null;
    } finally {
      openPoll = null;
    }
  }

  async function loop(): Promise<void> {
    let backoffMs = 0;
    while (!stopping.signal.aborted) {
      if (running.size >= maxConcurrent) {
        await Promise.race(running);
        continue;
      }
      try {
        const task = await poll();
        if (backoffMs > 0) logger.info({ taskQueue }, 'polling again');
        backoffMs = 0;
        if (task === null) continue;
        const work = perform(task).catch((error: unknown) => logger.error({ error }, 'an attempt could not be answered'));
        running.add(work);
        void work.finally(() => running.delete(work));
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (isDeadline(error)) continue;
        if (backoffMs === 0) logger.warn({ taskQueue, error: String(error) }, 'cannot poll; trying again');
        backoffMs = Math.min(longestBackoffMs, Math.max(200, backoffMs * 2));
        await sleep(backoffMs * (0.5 + Math.random() / 2), undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  }

  async function perform(task: Task): Promise<void> {
    const taskToken = task.taskToken as Uint8Array;
    const name = task.activityType?.name ?? '';
    const attempt = task.attempt ?? 1;
    const entry: InFlightActivity = {
      workflowId: task.workflowExecution?.workflowId ?? '',
      runId: task.workflowExecution?.runId ?? '',
      activityId: task.activityId ?? '',
      activityType: name,
      ...(sealedTokens ? { sealedTaskToken: Buffer.from(taskToken).toString('base64') } : {}),
    };
    const about = { activity: name, attempt, workflowId: entry.workflowId, runId: entry.runId };
    // Without it the next process cannot tell that this attempt died, and the run waits for the heartbeat limit: worse, but no reason not to work.
    await inFlight.enter(entry).catch((error: unknown) => logger.warn({ ...about, error: String(error) }, 'could not note what is in flight'));
    const cancel = new AbortController();
    let cancelled: 'by_server' | 'given_up' | null = null;
    const onStop = () => cancel.abort(new Error('the agent is stopping'));
    workAbort.signal.addEventListener('abort', onStop, { once: true });
    if (workAbort.signal.aborted) onStop();

    let details: unknown = null;
    const payload = task.input?.payloads?.[0];
    // Whoever did not encrypt the question, or with another key, may be unable to open the answer.
    let answerCodec: PayloadCodec | null = null;
    const payloadsOf = async (value: unknown): Promise<{ payloads: Payload[] }> => {
      const plain = [defaultPayloadConverter.toPayload(value)];
      return { payloads: answerCodec === null ? plain : await answerCodec.encode(plain) };
    };
    const beatMs = Math.min(longestBeatMs, durationMs(task.heartbeatTimeout) / 3 || longestBeatMs);
    let beating = false;
    const beat = setInterval(() => {
      if (beating) return;
      beating = true;
      (details === null ? Promise.resolve(null) : payloadsOf(details))
        .then((told) => service.recordActivityTaskHeartbeat({ namespace, taskToken, identity, details: told }))
        .then((reply) => {
          if (!reply.cancelRequested) return;
          cancelled = 'by_server';
          cancel.abort(new Error('the run was cancelled'));
        })
        .catch((error: unknown) => {
          if (!isFinal(error)) return; // The server is away: work goes on, the next beat may arrive.
          cancelled = 'given_up';
          cancel.abort(new Error('the server has given this attempt up'));
        })
        .finally(() => {
          beating = false;
        });
    }, beatMs);

    try {
      const activity = activities[name];
      if (payload && isSealed(payload) && codec === null) throw noCodec(identity);
      const [opened] = payload && codec !== null ? await codec.decode([payload]) : [payload];
      if (payload && isSealed(payload)) answerCodec = codec?.inKindOf(payload) ?? null;
      const input: unknown = opened ? defaultPayloadConverter.fromPayload(opened) : undefined;
      const context: ActivityContext = { cancel: cancel.signal, progress: (told) => (details = told), attempt };
      const run = async (): Promise<unknown> => {
        if (!activity) {
          throw ApplicationFailure.create({ type: 'activity_unknown', nonRetryable: true, message: `This agent (${identity}) has no activity ${name}; it may be older than the control worker.` });
        }
        return activity(input as never, context);
      };
      const parent = await traceOf(task.header?.fields, codec);
      const trace = parent === null ? {} : { trace: { parent, workflowId: entry.workflowId, runId: entry.runId } };
      const value = await (options.around ? options.around({ name, attempt, input, ...trace }, run) : run());
      clearInterval(beat);
      const result = await payloadsOf({ value: value ?? null, attempt });
      await answer(`complete ${name}`, () => service.respondActivityTaskCompleted({ namespace, taskToken, identity, result }));
    } catch (error) {
      clearInterval(beat);
      if (cancelled === 'given_up') {
        logger.warn(about, 'the server has given this attempt up; its result is not wanted');
      } else if (cancelled === 'by_server' && cancel.signal.aborted) {
        await answer(`cancel ${name}`, () => service.respondActivityTaskCanceled({ namespace, taskToken, identity }));
      } else {
        const told = await concealed(failureOf(error, name, attempt));
        const failure = answerCodec === null ? failures.errorToFailure(told, defaultPayloadConverter) : await sealFailure(answerCodec, codedFailures.errorToFailure(told, defaultPayloadConverter));
        logger.warn({ ...about, error: told.message }, 'an attempt failed');
        await answer(`fail ${name}`, () => service.respondActivityTaskFailed({ namespace, taskToken, identity, failure }));
      }
    } finally {
      clearInterval(beat);
      workAbort.signal.removeEventListener('abort', onStop);
      await inFlight.leave(entry);
    }
  }

  function failureOf(error: unknown, name: string, attempt: number): ApplicationFailure {
    if (error instanceof ApplicationFailure) return error;
    if (workAbort.signal.aborted) {
      return ApplicationFailure.create({ message: `the agent was stopped during ${name}`, type: 'agent_stopped', nonRetryable: false });
    }
    return toApplicationFailure(asFairleadError(error, name), attempt);
  }

  /** Failures carry what others have said: lines of logs, answers of probes, output of commands. The stack is ours, and repeats the message. */
  async function concealed(failure: ApplicationFailure): Promise<ApplicationFailure> {
    const text = JSON.stringify({ message: failure.message, details: failure.details ?? [] });
    const shown = await conceal(text);
    if (shown === text) return failure;
    const { message, details } = await parsed<{ message: string; details: unknown[] }>(shown).catch(() => eachText({ message: failure.message, details: failure.details ?? [] }));
    return ApplicationFailure.create({ message, details, type: failure.type ?? undefined, nonRetryable: failure.nonRetryable ?? false });
  }

  /** A secret that is all digits may have stood in a number: then every text is cleared by itself. */
  async function eachText<Value>(value: Value): Promise<Value> {
    if (typeof value === 'string') return (await conceal(value)) as Value;
    if (Array.isArray(value)) return (await Promise.all(value.map(eachText))) as Value;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(await Promise.all(Object.entries(value).map(async ([name, member]) => [name, await eachText(member)]))) as Value;
  }

  /** Offers an answer until the server takes it, says that nobody waits for it, or `answerPatienceMs` are over. */
  async function answer(what: string, send: () => Promise<unknown>): Promise<void> {
    const began = Date.now();
    for (let backoffMs = 100; ; backoffMs = Math.min(5_000, backoffMs * 2)) {
      try {
        await send();
        return;
      } catch (error) {
        if (isFinal(error)) {
          logger.warn({ what, error: String(error) }, 'the server has given this attempt up; its result is not wanted');
          return;
        }
        if (Date.now() - began > answerPatienceMs) throw error;
        logger.warn({ what, error: String(error) }, 'the server did not take an answer; offering it again');
        await sleep(backoffMs);
      }
    }
  }

  let looping: Promise<void> | null = null;
  return {
    async start(): Promise<void> {
      await giveUpLeftovers();
      looping = loop();
    },
    /** Stops polling, lets attempts end for `graceMs`, then aborts what is left; each is answered. */
    async stop(graceMs: number): Promise<void> {
      stopping.abort();
      openPoll?.abort();
      // There is nothing to wait for in a poll, and a connection with retries of its own can lose the abort of one.
      await Promise.race([looping, sleep(1_000, undefined, { ref: false })]);
      const timer = setTimeout(() => workAbort.abort(), graceMs);
      await Promise.allSettled(running);
      clearTimeout(timer);
    },
    /** How many polls were sent so far; the first one tells that the agent is at work. */
    polls: () => polls,
  };
}

const parsed = async <Value>(text: string): Promise<Value> => JSON.parse(text) as Value;
const codeOf = (error: unknown): number | undefined => (error as { code?: number } | null)?.code;
const isFinal = (error: unknown): boolean => codeOf(error) === grpcNotFound || codeOf(error) === grpcPermissionDenied;
const isDeadline = (error: unknown): boolean => codeOf(error) === 4;

function durationMs(duration: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(duration?.seconds ?? 0) * 1000 + Number(duration?.nanos ?? 0) / 1e6;
}
