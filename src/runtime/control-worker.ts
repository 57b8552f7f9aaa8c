import { ApplicationFailure, type PayloadCodec } from '@temporalio/common';
import { Runtime, Worker, type ActivityInterceptorsFactory, type NativeConnection } from '@temporalio/worker';
import type { Logger } from '../adapters/logger.ts';
import type { AroundActivity } from '../adapters/temporal/activity-poller.ts';
import { toApplicationFailure } from '../adapters/temporal/failure.ts';
import { traceOf } from '../adapters/temporal/trace-header.ts';
import { controlTaskQueue } from '../domain/ids.ts';
import { asFairleadError } from '../domain/system-failure.ts';
import type { ControlSettings } from './config.ts';
import { codedFailures } from './payload-codec.ts';
import { codedWorkflowCode, workflowBundle } from './workflow-bundle.ts';

/** About 0.4 MB each; fixed, because what the SDK derives from the heap overlooks the sandboxes' own memory. */
const maxCachedWorkflows = 500;
const beatMs = 1_000;

/** Sends what the SDK logs through our own logger, once for a process. */
export function installRuntime(logger: Logger): void {
  const write = (level: string, message: string, meta: object | undefined): void => {
    const lower = level.toLowerCase();
    logger[lower === 'trace' || lower === 'debug' || lower === 'warn' || lower === 'error' ? lower : 'info']({ ...meta }, message);
  };
  Runtime.install({
    // The process decides when it stops: activities that write a report need their grace.
    shutdownSignals: [],
    telemetryOptions: { logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} } },
    logger: {
      log: (level, message, meta) => write(level, message, meta),
      trace: (message, meta) => write('trace', message, meta),
      debug: (message, meta) => write('debug', message, meta),
      info: (message, meta) => write('info', message, meta),
      warn: (message, meta) => write('warn', message, meta),
      error: (message, meta) => write('error', message, meta),
    },
  });
}

export async function createControlWorker(connection: NativeConnection, { temporal, stickyTimeoutMs }: ControlSettings, codec: PayloadCodec | null, activities: object, around: AroundActivity | undefined, logger: Logger): Promise<Worker> {
  return Worker.create({
    connection,
    namespace: temporal.namespace,
    taskQueue: controlTaskQueue,
    identity: `control@${process.pid}`,
    ...(codec === null ? { workflowBundle: { codePath: await workflowBundle() } } : { workflowBundle: { code: await codedWorkflowCode() }, dataConverter: { payloadCodecs: [codec], failureConverterPath: codedFailures } }),
    activities,
    interceptors: { activity: [beatAndExplain(around, logger)] },
    stickyQueueScheduleToStartTimeout: stickyTimeoutMs,
    maxCachedWorkflows,
    shutdownGraceTime: '20s',
    shutdownForceTime: '30s',
  });
}

/** Around every control activity: it beats, so that the death of this worker is noticed in seconds; and every error carries its reason. */
function beatAndExplain(around: AroundActivity | undefined, logger: Logger): ActivityInterceptorsFactory {
  return (context) => ({
    inbound: {
      async execute(input, next) {
        const { activityType, attempt } = context.info;
        const beat = setInterval(() => context.heartbeat(), beatMs);
        try {
          if (!around) return await next(input);
          const parent = await traceOf(input.headers);
          const { workflowId = '', runId = '' } = context.info.workflowExecution ?? {};
          return await around({ name: activityType, attempt, input: input.args[0], ...(parent === null ? {} : { trace: { parent, workflowId, runId } }) }, () => next(input));
        } catch (error) {
          if (error instanceof ApplicationFailure) throw error;
          const failure = asFairleadError(error, activityType);
          const { workflowId, runId } = context.info.workflowExecution ?? {};
          logger.warn({ ...subjectOf(input.args[0]), activity: activityType, attempt, workflowId, runId, err: failure }, 'an attempt failed');
          throw toApplicationFailure(failure, attempt);
        } finally {
          clearInterval(beat);
        }
      },
    },
  });
}

/** The host and the product that an activity is about, where its input names them. */
function subjectOf(input: unknown): { readonly host?: string; readonly product?: string } {
  const { host, product, request } = (input ?? {}) as { readonly host?: string; readonly product?: string; readonly request?: { readonly host?: string; readonly product?: string } };
  const named = { host: host ?? request?.host, product: product ?? request?.product };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => typeof value === 'string'));
}
