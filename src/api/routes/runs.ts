import { RunCancelAnswer, RunCancelBody, RunDetail, RunEventsHeaders, RunList, RunListQuery, RunParams } from '../../contract/index.ts';
import type { RunDetail as RunDetailAnswer } from '../../contract/index.ts';
import { messagesOf } from '../../domain/failure.ts';
import type { RunId } from '../../domain/ids.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { EventStreams } from '../event-streams.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { linksOf } from '../links.ts';
import { pageOf } from '../page.ts';
import { summaryOf } from '../run-summary.ts';
import { withinScope } from '../scopes.ts';
import { eventStreamBody } from '../stream-schema.ts';
import { knownRun } from '../unknown.ts';

const tags = ['runs'];

export function runRoutes(app: Api, dependencies: ApiDependencies, streams: EventStreams): void {
  const { stores, runs, settings } = dependencies;

  app.get('/api/runs', { schema: { tags, summary: 'Runs, newest first', querystring: RunListQuery, response: { 200: RunList } } }, async (request) => {
    const { rows, nextBefore } = await pageOf({ ...request.query, ...(await withinScope(request, stores)) }, (filter) => stores.runs.list(filter), (run) => run.runId);
    return { runs: rows.map(summaryOf), nextBefore };
  });

  app.get('/api/runs/:id', { schema: { tags, summary: 'A run: its report, or what it does and hangs on', params: RunParams, response: { 200: RunDetail } } }, async ({ params }) => {
    const row = await knownRun(stores, params.id);
    const live = row.endedAt === null ? await liveOf(row.runId) : { progress: null, pending: [], liveError: null };
    return { run: summaryOf(row), report: row.report as RunDetailAnswer['report'], ...live, links: linksOf(settings, row.runId, row.workflowId) };
  });

  /** What PostgreSQL holds is shown also while Temporal is away, with the reason why there is no more. */
  async function liveOf(runId: RunId): Promise<Pick<RunDetailAnswer, 'progress' | 'pending' | 'liveError'>> {
    const [progress, pending] = await Promise.allSettled([runs.progress(runId), runs.pending(runId)]);
    const failed = [progress, pending].find((each) => each.status === 'rejected');
    return {
      progress: progress.status === 'fulfilled' ? (progress.value as RunDetailAnswer['progress']) : null,
      pending: pending.status === 'fulfilled' ? pending.value : [],
      liveError: failed === undefined ? null : messagesOf(failed.reason).join(': '),
    };
  }

  app.get(
    '/api/runs/:id/events',
    {
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'The events of a run, as they come',
        description: 'Server-sent events (WHATWG HTML, 9.2): `id` is the sequence, `event` the kind, `data` a RunEvent as JSON. Ends after `run_ended`; a stream that ends before is asked again with `Last-Event-ID`.',
        params: RunParams,
        headers: RunEventsHeaders,
        response: { 200: eventStreamBody },
      },
    },
    async (request, reply) => {
      await knownRun(stores, request.params.id);
      await streams.serve(request.params.id, Number(request.headers['last-event-id'] ?? 0), request, reply);
    },
  );

  app.post(
    '/api/runs/:id/cancel',
    {
      schema: { tags, summary: 'Ask a run to roll back and end', headers: MutationHeaders, params: RunParams, body: RunCancelBody, response: { 200: RunCancelAnswer, 202: RunCancelAnswer } },
    },
    async (request, reply) => {
      const { params, body } = request;
      const answer = await answerOnce<RunCancelAnswer>(stores.idempotency, request, reply, async () => {
        const row = await knownRun(stores, params.id);
        const links = linksOf(settings, row.runId, row.workflowId);
        if (row.endedAt !== null) return { status: 200, body: { runId: row.runId, links, state: 'already_ended' as const } };
        const actor = actorOf(callerOf(request));
        await stores.audit.append({ at: new Date().toISOString(), event: 'run.cancel_requested', actor, subject: row.workflowId, runId: row.runId, detail: { reason: body.reason } });
        await runs.cancel(row.runId, `${actor}: ${body.reason}`);
        return { status: 202, body: { runId: row.runId, links, state: 'requested' as const } };
      });
      return reply.code(answer.status as 200 | 202).send(answer.body);
    },
  );
}
