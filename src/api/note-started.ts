import type { FastifyRequest } from 'fastify';
import type { RunAccepted } from '../contract/index.ts';
import type { RunId } from '../domain/ids.ts';
import type { PromotionRequest } from '../domain/promotion/request.ts';
import type { RunKind } from '../domain/run/kind.ts';
import type { ApiDependencies } from './dependencies.ts';
import { linksOf } from './links.ts';

export interface StartedRun {
  readonly runId: RunId;
  readonly workflowId: string;
  readonly kind: RunKind;
  readonly asked: Pick<PromotionRequest, 'host' | 'product' | 'releaseId' | 'requestedBy' | 'requestId'>;
  /** Name of the audit row. */
  readonly event: string;
  readonly detail: Readonly<Record<string, unknown>>;
  /** What tells this request from others that the same run answers. Left out, a run is asked for once. */
  readonly key?: string;
}

/**
 * The run's row and the audit row of who asked for it. The run is durable already when this is called, and notes itself where this process dies
 * or the database is away: so nothing fails here.
 */
export async function noteStarted({ stores, settings }: ApiDependencies, request: FastifyRequest, started: StartedRun): Promise<RunAccepted> {
  const { runId, workflowId, kind, event, asked, detail, key } = started;
  const { host, product, releaseId, requestedBy, requestId } = asked;
  const at = new Date().toISOString();
  request.log.info({ runId, workflowId, kind, host, product, releaseId }, 'a run was accepted');
  try {
    await stores.runs.open({ runId, workflowId, kind, host, product, toReleaseId: releaseId, requestedBy, requestedAt: at });
    await stores.audit.append({ at, event, actor: requestedBy, subject: workflowId, runId, detail: { ...detail, requestId } }, `${event}:${runId}${key === undefined ? '' : `:${key}`}`);
  } catch (error) {
    request.log.error({ err: error, runId }, 'a run was started and could not be noted; the run notes itself');
  }
  return { runId, workflowId, host, product, releaseId, links: linksOf(settings, runId, workflowId) };
}
