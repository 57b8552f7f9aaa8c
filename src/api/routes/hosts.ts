import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AcceptAnswer, AcceptBody, HostDetail, HostHelloAnswer, HostHelloBody, HostList, HostListQuery, HostParams, LabelsAnswer, LabelsBody, MaintenanceAnswer, MaintenanceBody, SessionList, SessionQuery } from '../../contract/index.ts';
import type { FleetSession, Host, HostDetail as HostDetailAnswer, IdentityConflict } from '../../contract/index.ts';
import { includesProduct, ownLabels, type KeyScope } from '../../domain/access/scope.ts';
import { FairleadError } from '../../domain/failure.ts';
import { IllegalFleetTransition } from '../../domain/fleet/host-state.ts';
import type { Session } from '../../domain/fleet/session.ts';
import type { HostId, ProductName } from '../../domain/ids.ts';
import type { HostRow } from '../../ports/control-stores.ts';
import { noteChange } from '../auditing.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Fleet } from '../fleet/index.ts';
import { createHealing } from '../healing.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOf, pageOfAll } from '../page.ts';
import { hostWithin, sessionWithin } from '../scopes.ts';
import { knownHost } from '../unknown.ts';

const tags = ['hosts'];

export function hostRoutes(app: Api, dependencies: ApiDependencies, { sessions, hello }: Fleet): void {
  const { stores } = dependencies;
  const healing = createHealing(dependencies);

  app.get('/api/hosts', { schema: { tags, summary: 'Every host that ever said hello, and those that are enrolled', querystring: HostListQuery, response: { 200: HostList } } }, async (request) => {
    const { scope } = callerOf(request);
    const [all, open, states] = await Promise.all([stores.hosts.list(), stores.sessions.allOpen(), stores.fleet.list()]);
    const sessionOf = new Map(open.map((session) => [session.host, session]));
    const heard = new Set(all.map(({ host }) => host));
    const rows = all.flatMap((row) => hostWithin(scope, row) ?? []);
    const pending = states.filter(({ host, role }) => !heard.has(host) && hostWithin(scope, { host, role, labels: {}, products: [] }) !== null);
    const { rows: names, nextAfter } = pageOfAll([...rows, ...pending].map(({ host }) => host).sort(), request.query, (host) => host);
    const isShown = new Set(names);
    return { hosts: rows.filter(({ host }) => isShown.has(host)).map((row) => ({ ...answerOf(row), session: told(scope, sessionOf.get(row.host)) })), pending: pending.filter(({ host }) => isShown.has(host)), nextAfter };
  });

  app.get('/api/hosts/:id', { schema: { tags, summary: 'A host, what it told, and what becomes of what differs there', params: HostParams, response: { 200: HostDetail } } }, async (request): Promise<HostDetailAnswer> => {
    const heard = await heardHost(request.params.id);
    const { scope } = callerOf(request);
    const row = hostWithin(scope, heard) ?? heard;
    const [shown, latest, conflict] = await Promise.all([healing.show(row), stores.sessions.list({ host: row.host, limit: 1 }), stores.sessions.conflict(row.host)]);
    const last = latest[0];
    const undecided = conflict !== null && conflict.decidedAt === null ? (conflict as IdentityConflict) : null;
    const mine = ({ product }: { product: ProductName }) => includesProduct(scope, product);
    return { ...answerOf(row), healing: { tries: shown.tries.filter(mine), verdicts: shown.verdicts.filter(mine) }, session: told(scope, last?.endedAt === null ? last : undefined), lastSession: told(scope, last), conflict: undecided };
  });

  app.get('/api/hosts/:id/sessions', { schema: { tags, summary: 'When a host was connected, and what it was seen to run', params: HostParams, querystring: SessionQuery, response: { 200: SessionList } } }, async (request) => {
    const { params, query } = request;
    const { rows, nextBefore } = await pageOf({ ...query, host: params.id }, stores.sessions.list, ({ id }) => id);
    return { sessions: rows.map((row) => sessionWithin(callerOf(request).scope, row)) as FleetSession[], nextBefore };
  });

  app.post('/api/hosts/:id/accept', { schema: { tags, summary: 'Decide an identity conflict: this agent is the host', headers: MutationHeaders, params: HostParams, body: AcceptBody, response: { 200: AcceptAnswer } } }, async (request, reply) => once(request, reply, async () => {
    const { params, body } = request;
    const actor = actorOf(callerOf(request));
    const before = await stores.sessions.conflict(params.id);
    const result = await stores.sessions.accept(params.id, body.bootId, actor);
    if (result !== 'accepted') throw undecidable(params.id, body.bootId, result, before?.agents.map(({ bootId }) => bootId) ?? []);
    await note('host.identity_accepted', actor, params.id, { conflict: before?.id ?? null, bootId: body.bootId }, `host.identity_accepted:${before?.id}`);
    noteChange(request, { before: before && { conflict: before.id, agents: before.agents.map(({ bootId }) => bootId), decidedAt: before.decidedAt }, after: { acceptedBootId: body.bootId } });
    return { host: params.id, acceptedBootId: body.bootId };
  }));

  app.put('/api/hosts/:id/maintenance', { schema: { tags, summary: 'Begin a maintenance, or change its reason and end: rollouts and repairs leave the host alone', headers: MutationHeaders, params: HostParams, body: MaintenanceBody, response: { 200: MaintenanceAnswer } } }, async (request, reply) => once(request, reply, async () => {
    const { params, body } = request;
    const before = (await stores.fleet.find(params.id))?.state ?? null;
    if ((await stores.fleet.find(params.id)) === null) await heardHost(params.id);
    const actor = actorOf(callerOf(request));
    // The intent first: a state that nobody wrote down is worse than a row too many.
    await note('host.maintenance_began', actor, params.id, { ...body });
    const state = await stores.fleet.apply(params.id, { type: 'MaintenanceBegan', by: actor, ...body });
    noteChange(request, { before, after: state });
    return { host: params.id, state };
  }));

  app.delete('/api/hosts/:id/maintenance', { schema: { tags, summary: 'End a maintenance', headers: MutationHeaders, params: HostParams, response: { 200: MaintenanceAnswer } } }, async (request, reply) => once(request, reply, async () => {
    const { params } = request;
    const before = (await stores.fleet.find(params.id))?.state ?? null;
    if ((await stores.fleet.find(params.id)) === null) await heardHost(params.id);
    try {
      const state = await stores.fleet.apply(params.id, { type: 'MaintenanceEnded' });
      await note('host.maintenance_ended', actorOf(callerOf(request)), params.id, {});
      noteChange(request, { before, after: state });
      return { host: params.id, state };
    } catch (error) {
      if (!(error instanceof IllegalFleetTransition)) throw error;
      throw new FairleadError({ class: 'request', code: 'not_in_maintenance', message: `Host ${params.id} is in no maintenance.`, hint: `fairlead nodes show ${params.id}` });
    }
  }));

  app.put('/api/hosts/:id/labels', { schema: { tags, summary: 'Label a host: scopes of keys select hosts by it', headers: MutationHeaders, params: HostParams, body: LabelsBody, response: { 200: LabelsAnswer } } }, async (request, reply) => once(request, reply, async () => {
    const { params, body } = request;
    const before = (await heardHost(params.id)).labels;
    const own = ownLabels.find((name) => Object.hasOwn(body.labels, name));
    if (own !== undefined) throw new FairleadError({ class: 'request', code: 'own_label', message: `Label ${own} is what the host is of itself; nobody sets it.`, hint: 'Choose another name.' });
    await note('host.labelled', actorOf(callerOf(request)), params.id, { ...body.labels });
    const labels = { ...(await stores.hosts.label(params.id, body.labels)) };
    noteChange(request, { before, after: labels });
    return { host: params.id, labels };
  }));

  app.post(
    '/api/hosts/:id/hello',
    {
      schema: { tags, summary: 'What an agent says at its start and every 15 seconds after, where no WebSocket gets through', params: HostParams, body: HostHelloBody, response: { 200: HostHelloAnswer } },
    },
    async (request) => {
      const { params, body, log } = request;
      const caller = callerOf(request);
      await sessions.bind(caller, params.id);
      const { role, agentVersion, bootId, session, releases = [] } = body;
      // An agent that does not tell its sessions apart has one for each of its lives.
      const newcomer = { host: params.id, bootId, transport: 'http' as const, clientRef: session ?? bootId, role, releases, agentVersion, remoteAddress: request.ip };
      // Whoever asked may have died since: what it says now would come after what its successor said.
      if (request.raw.socket?.destroyed) throw new FairleadError({ class: 'request', code: 'invalid_request', message: 'The request was given up by its sender.' });
      await sessions.begin(newcomer, log);
      return hello.take(params.id, actorOf(caller), body, log);
    },
  );

  async function once<Body>(request: FastifyRequest, reply: FastifyReply, act: () => Promise<Body>): Promise<Body> {
    return (await answerOnce(stores.idempotency, request, reply, async () => ({ status: 200, body: await act() }))).body;
  }

  async function heardHost(host: HostId): Promise<HostRow> {
    const [row, known] = [await stores.hosts.find(host), await stores.fleet.find(host)];
    if (row !== null || known === null) return row ?? knownHost(stores, host);
    throw new FairleadError({ class: 'request', code: 'host_pending', message: `Host ${host} is enrolled since ${known.state.since}, and was never heard.`, hint: `Start its agent: fairlead serve --role node --host-id ${host}` });
  }

  const note = (event: string, actor: string, host: HostId, detail: Record<string, unknown>, key: string = `${event}:${randomUUID()}`) =>
    stores.audit.append({ at: new Date().toISOString(), event, actor, subject: `host/${host}`, runId: null, detail }, key);
}

/** The same members; only the contract's lists are not readonly. */
const answerOf = (row: HostRow): Host => row as unknown as Host;
const told = (scope: KeyScope | null, session: Session | undefined): FleetSession | null => (session === undefined ? null : (sessionWithin(scope, session) as FleetSession));

function undecidable(host: HostId, bootId: string, result: 'no_conflict' | 'unknown_boot', boots: readonly string[]): FairleadError {
  if (result === 'no_conflict') return new FairleadError({ class: 'request', code: 'no_conflict', message: `Host ${host} has no identity conflict that waits for a decision.`, hint: `fairlead nodes show ${host}` });
  return new FairleadError({ class: 'request', code: 'invalid_request', message: `No agent of boot id ${JSON.stringify(bootId)} was seen in the conflict of host ${host}.`, hint: `Seen were: ${boots.join(', ')}` });
}
