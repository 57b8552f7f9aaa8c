import { createHash, randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { Rollout, RolloutAbortBody, RolloutAccepted, RolloutBody, RolloutCommandAnswer, RolloutCommandBody, RolloutDecisionBody, RolloutHostList, RolloutHostsQuery, RolloutList, RolloutListQuery, RolloutParams, RolloutPlanAnswer, RolloutPlanBody, RunEventsHeaders } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { rolloutIdOfDigest, rolloutWorkflowId, type RolloutId, type RunId } from '../../domain/ids.ts';
import type { RolloutCommand } from '../../domain/rollout/command.ts';
import { fleetDigestInput, fleetOf, type FleetHost } from '../../domain/rollout/fleet.ts';
import { planRollout, type RolloutPlan } from '../../domain/rollout/plan.ts';
import { rolloutRequest, type RolloutRequest } from '../../domain/rollout/request.ts';
import { planUpdate } from '../../domain/update/plan.ts';
import { stepTitle } from '../../domain/update/step.ts';
import type { RolloutRow } from '../../ports/rollout-store.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { EventStreams } from '../event-streams.ts';
import { noteChange } from '../auditing.ts';
import { answerOnce, MutationHeaders, requestIdOf } from '../idempotency.ts';
import { pageOf } from '../page.ts';
import { rolloutAnswer, rolloutHostAnswer, rolloutLinksOf } from '../rollout-answers.ts';
import { withinScope } from '../scopes.ts';
import { eventStreamBody } from '../stream-schema.ts';
import { unknown } from '../unknown.ts';

const tags = ['rollouts'];
const id = { params: RolloutParams } as const;

/** A release across many hosts. Nothing is changed in here: a workflow does that, and commands are asked of it, so that a refusal has its words. */
export function rolloutRoutes(app: Api, dependencies: ApiDependencies, streams: EventStreams): void {
  const { stores, rollouts, settings, calendar } = dependencies;

  async function knownRollout(rolloutId: RolloutId): Promise<RolloutRow> {
    const row = await stores.rollouts.find(rolloutId);
    if (row !== null) return row;
    throw unknown('unknown_rollout', `No rollout "${rolloutId}" is known.`, 'Latest rollouts', (await stores.rollouts.list({ limit: 10 })).map((each) => each.rolloutId), 'No rollout was started yet.');
  }

  /** What was asked, whole; refuses windows that no calendar can read, and addresses that nobody would ask. */
  function requestFrom(request: FastifyRequest, body: z.output<typeof RolloutPlanBody>): RolloutRequest {
    const { product, releaseId, hosts, strategy, onHost, whenBusy, allowFailed } = body;
    const asked = rolloutRequest({
      product,
      releaseId,
      requestedBy: actorOf(callerOf(request)),
      requestId: requestIdOf(request),
      ...(hosts ? { target: { kind: 'hosts', hosts } } : {}),
      ...(strategy ? { strategy: strategy as Partial<RolloutRequest['strategy']> } : {}),
      ...(onHost ? { onHost: onHost as RolloutRequest['onHost'] } : {}),
      ...(whenBusy ? { whenBusy } : {}),
      ...(allowFailed ? { allowFailed } : {}),
    });
    for (const gate of asked.strategy.gates) {
      if (gate.kind === 'window') calendar.check(gate.window, new Date().toISOString());
      const refused = gate.kind === 'metric' || gate.kind === 'external' ? (dependencies.refuseUrl?.(gate.url) ?? null) : null;
      if (refused !== null) throw refused;
    }
    return asked;
  }
  async function fleetNow(request: RolloutRequest): Promise<{ fleet: FleetHost[]; digest: string }> {
    const fleet = fleetOf(await stores.hosts.list(), request);
    return { fleet, digest: createHash('sha256').update(fleetDigestInput(fleet, request)).digest('hex') };
  }

  app.post('/api/rollouts/plan', { schema: { tags, summary: 'The waves of a rollout, without doing it', body: RolloutPlanBody, response: { 200: RolloutPlanAnswer } } }, async (http) => {
    const request = requestFrom(http, http.body);
    const { fleet, digest } = await fleetNow(request);
    const at = new Date().toISOString();
    const decision = planRollout(fleet, request, at);
    const plan: RolloutPlan = decision.kind === 'plan' ? decision.plan : { product: request.product, toReleaseId: request.releaseId, plannedAt: at, waves: [], unchanged: [], skipped: [], warnings: [] };
    const { waves, unchanged, skipped, warnings, ...rest } = plan;
    return {
      ...rest,
      decision: decision.kind,
      reason: decision.kind === 'refuse' ? decision.reason : null,
      planDigest: digest,
      strategy: request.strategy as RolloutPlanAnswer['strategy'],
      waves: waves.map(({ number, role, hosts }) => ({ number, role, hosts: [...hosts] })),
      unchanged: [...unchanged],
      skipped: [...skipped],
      warnings: [...warnings],
      hostSteps: await stepsOf(request, plan),
    };
  });

  /** What a run will do on the first host of each wave, by the same plan that the run makes. */
  async function stepsOf(request: RolloutRequest, { waves }: RolloutPlan): Promise<RolloutPlanAnswer['hostSteps']> {
    const firsts = waves.flatMap(({ hosts }) => hosts.slice(0, 1));
    return Promise.all(
      firsts.map(async ({ host, artifactRole }) => {
        const artifact = await stores.releases.find(request.product, request.releaseId, artifactRole);
        const inspection = (await stores.hosts.find(host))?.products.find(({ product }) => product === request.product);
        if (!artifact || !inspection) return { host, steps: [], note: artifact ? 'nothing is installed there yet' : `release ${request.releaseId} has no artifact for role ${artifactRole}` };
        const decision = planUpdate(inspection, artifact, { ...request.onHost, host, product: request.product, releaseId: request.releaseId, requestedBy: '', requestId: '', ...(request.allowFailed ? { allowFailed: true } : {}) });
        return { host, steps: decision.kind === 'apply' ? decision.plan.steps.map(stepTitle) : [], note: decision.kind === 'refuse' ? decision.reason.message : null };
      }),
    );
  }

  app.post(
    '/api/rollouts',
    { schema: { tags, summary: 'Start a rollout', description: 'Accepted is not begun: where another rollout of the product is open, `whenBusy` decides.', headers: MutationHeaders, body: RolloutBody, response: { 202: RolloutAccepted } } },
    async (http, reply) => {
      const { body } = http;
      const answer = await answerOnce<RolloutAccepted>(stores.idempotency, http, reply, async () => {
        const request = requestFrom(http, body);
        const { fleet, digest } = await fleetNow(request);
        if (body.planDigest !== undefined && body.planDigest !== digest) throw moved(request);
        const decision = planRollout(fleet, request, new Date().toISOString());
        if (decision.kind === 'refuse') throw new FairleadError(decision.reason);
        const rolloutId = rolloutIdOf(request.requestId);
        const requestedAt = new Date().toISOString();
        await stores.audit.append({ at: requestedAt, event: 'rollout.requested', actor: request.requestedBy, subject: rolloutWorkflowId(rolloutId), runId: rolloutId as string as RunId, detail: { product: request.product, releaseId: request.releaseId, target: request.target, strategy: request.strategy, requestId: request.requestId, whenBusy: request.whenBusy } }, `rollout.requested:${rolloutId}`);
        await stores.rollouts.open({ rolloutId, request, requestedAt });
        const { workflowId } = await rollouts.startRollout({ rolloutId, request, requestedAt });
        return { status: 202, body: { rolloutId, workflowId, product: request.product, releaseId: request.releaseId, links: rolloutLinksOf(settings, rolloutId) } };
      });
      return reply.code(202).header('location', answer.body.links.self).send(answer.body);
    },
  );

  app.get('/api/rollouts', { schema: { tags, summary: 'Rollouts, newest first', querystring: RolloutListQuery, response: { 200: RolloutList } } }, async (http) => {
    const { limit, before, product, open } = http.query;
    const filter = { limit, ...(await withinScope(http, stores)), ...(product ? { product } : {}), ...(open === undefined ? {} : { open }), ...(before ? { before: before as RolloutId } : {}) };
    const { rows, nextBefore } = await pageOf(filter, (each) => stores.rollouts.list(each), (row) => row.rolloutId);
    return { rollouts: rows.map((row) => rolloutAnswer(row, settings)), nextBefore };
  });

  app.get('/api/rollouts/:id', { schema: { tags, summary: 'A rollout: where it stands, what it waits for, how it ended', ...id, response: { 200: Rollout } } }, async ({ params }) => {
    const row = await knownRollout(params.id);
    return rolloutAnswer(row, settings, row.endedAt === null ? await rollouts.standing(params.id) : null);
  });

  app.get('/api/rollouts/:id/hosts', { schema: { tags, summary: 'The hosts of a rollout, by wave', ...id, querystring: RolloutHostsQuery, response: { 200: RolloutHostList } } }, async (http) => {
    const { params, query } = http;
    await knownRollout(params.id);
    const { wave, outcome, limit, after } = query;
    const rows = await stores.rollouts.hosts(params.id, { limit: limit + 1, ...(await withinScope(http, stores)), ...(wave === undefined ? {} : { wave }), ...(outcome ? { outcome } : {}), ...(after ? { after } : {}) });
    const hosts = rows.slice(0, limit).map(rolloutHostAnswer);
    return { hosts, nextAfter: rows.length > limit ? (hosts.at(-1)?.host ?? null) : null };
  });

  app.get(
    '/api/rollouts/:id/events',
    { exposeHeadRoute: false, schema: { tags, summary: 'The events of a rollout, as they come', description: 'Server-sent events, as those of a run.', ...id, headers: RunEventsHeaders, response: { 200: eventStreamBody } } },
    async (request, reply) => {
      await knownRollout(request.params.id);
      await streams.serve(request.params.id as string as RunId, Number(request.headers['last-event-id'] ?? 0), request, reply);
    },
  );

  async function pass(http: FastifyRequest, reply: FastifyReply, rolloutId: RolloutId, command: RolloutCommand): Promise<RolloutCommandAnswer> {
    const answer = await answerOnce<RolloutCommandAnswer>(stores.idempotency, http, reply, async () => {
      const before = (await knownRollout(rolloutId)).standing;
      const standing = { ...(await rollouts.command(rolloutId, command, requestIdOf(http))) } as RolloutCommandAnswer['standing'];
      noteChange(http, { before: { phase: before.phase, status: before.status, wave: before.wave }, after: { phase: standing.phase, status: standing.status, wave: standing.wave } });
      return { status: 200, body: { rolloutId, standing } };
    });
    return answer.body;
  }
  const command = { headers: MutationHeaders, ...id, response: { 200: RolloutCommandAnswer } } as const;
  const by = (http: FastifyRequest): string => actorOf(callerOf(http));

  app.post('/api/rollouts/:id/pause', { schema: { tags, summary: 'Hold a rollout: hosts in flight finish, none is begun', body: RolloutCommandBody, ...command } }, async (http, reply) => pass(http, reply, http.params.id, { command: 'pause', by: by(http), comment: http.body.comment ?? null }));
  app.post('/api/rollouts/:id/resume', { schema: { tags, summary: 'Let a paused rollout go on', body: RolloutCommandBody, ...command } }, async (http, reply) => pass(http, reply, http.params.id, { command: 'resume', by: by(http) }));
  app.post('/api/rollouts/:id/retry', { schema: { tags, summary: 'Try the failed hosts of the wave again', body: RolloutCommandBody, ...command } }, async (http, reply) => pass(http, reply, http.params.id, { command: 'retry', by: by(http) }));
  app.post('/api/rollouts/:id/promote', { schema: { tags, summary: 'Skip the bake time, or open the gates before the next wave', body: RolloutCommandBody, ...command } }, async (http, reply) => pass(http, reply, http.params.id, { command: 'promote', by: by(http), role: callerOf(http).role }));
  app.post('/api/rollouts/:id/abort', { schema: { tags, summary: 'End a rollout: hosts in flight finish; those that are updated are kept or taken back', body: RolloutAbortBody, ...command } }, async (http, reply) =>
    pass(http, reply, http.params.id, { command: 'abort', by: by(http), comment: http.body.comment ?? null, updated: http.body.updated }),
  );
  for (const decision of ['approve', 'reject'] as const) {
    app.post(`/api/rollouts/:id/${decision}`, { schema: { tags, summary: decision === 'approve' ? 'Approve a gate' : 'Reject a gate, which ends the rollout', body: RolloutDecisionBody, ...command } }, async (http, reply) =>
      pass(http, reply, http.params.id, { command: decision, gate: http.body.gate, approval: { by: by(http), role: callerOf(http).role, comment: http.body.comment ?? null } }),
    );
  }
}

/** A repetition of the request starts the same rollout. */
function rolloutIdOf(requestId: string): RolloutId {
  if (!requestId.startsWith('idem-')) return randomUUID() as string as RolloutId;
  return rolloutIdOfDigest(createHash('sha256').update(`rollout ${requestId}`).digest('hex'));
}

const moved = ({ product }: RolloutRequest): FairleadError =>
  new FairleadError({ class: 'request', code: 'fleet_moved', message: `The fleet of ${product} is no longer as it was when the plan was made: a host came, went, or changed its release.`, hint: 'Look at a new plan: fairlead rollout plan' });
