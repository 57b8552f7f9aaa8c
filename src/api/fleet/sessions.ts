import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { FastifyBaseLogger } from 'fastify';
import { FairleadError } from '../../domain/failure.ts';
import type { BeginFacts, Session, SessionEnd } from '../../domain/fleet/session.ts';
import type { BeginResult, FleetWord, NewSession } from '../../ports/fleet-stores.ts';
import type { KeyIdentity } from '../../ports/control-stores.ts';
import type { HostId } from '../../domain/ids.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { actorOf } from '../api.ts';
import { requireOwnHost } from '../authentication.ts';

/** A connection that this copy of the API holds. */
export interface HeldConnection {
  /** Whether the host answers a ping within the time. */
  answers(limitMs: number): Promise<boolean>;
  /** Ends it because its session has ended. */
  close(why: SessionEnd): void;
}

export interface FleetSessions {
  readonly copy: string;
  /**
   * Begins a session, or goes on with the one that is open. Asks the session that stands in the way, on whatever copy of the API it is held.
   * @throws FairleadError `identity_conflict`, `identity_refused`, `session_superseded`
   */
  begin(newcomer: Omit<NewSession, 'copy'>, log: FastifyBaseLogger): Promise<{ readonly session: Session; readonly begun: boolean }>;
  hold(session: string, connection: HeldConnection): void;
  release(session: string): void;
  /** Ends a session, and the connection on whatever copy holds it. Idempotent. */
  end(session: string, why: SessionEnd): Promise<void>;
  /** Tells the copy that holds it that a session has ended. */
  announce(ended: Session | null): Promise<void>;
  /** Makes an agent's key that of this host where it is nobody's yet. @throws FairleadError `not_this_host` */
  bind(identity: KeyIdentity, host: HostId): Promise<void>;
  held(): readonly [string, HeldConnection][];
  close(): void;
}

const tries = 4;

/** Sessions as the copies of the API share them: PostgreSQL decides, the bus carries questions to whoever holds a connection. */
export function createFleetSessions({ stores, fleetBus, settings }: Pick<ApiDependencies, 'stores' | 'fleetBus' | 'settings'>): FleetSessions {
  const copy = settings.copy ?? `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  const answerMs = settings.fleet?.answerMs ?? 2_000;
  const held = new Map<string, HeldConnection>();
  const waiting = new Map<string, (answers: boolean) => void>();

  const unsubscribe = fleetBus.subscribe((word: FleetWord) => {
    if (word.kind === 'answer') waiting.get(word.question)?.(word.answers);
    if (word.kind === 'ended') held.get(word.session)?.close(word.why);
    if (word.kind === 'ask') void held.get(word.session)?.answers(answerMs).then((answers) => fleetBus.publish({ kind: 'answer', question: word.question, answers }));
  });

  /** Whether a session still answers. A copy that is gone holds nothing, and says nothing. */
  async function ask(session: Session): Promise<boolean> {
    const own = held.get(session.id);
    if (own !== undefined) return own.answers(answerMs);
    // This copy knows its connections: one that it does not hold is broken, and its end about to be written down.
    if (session.copy === copy) return false;
    if (!fleetBus.isListening()) throw deaf();
    const question = randomUUID();
    try {
      return await new Promise<boolean>((resolve) => {
        // The other copy needs the time of its own limit, and the way there and back.
        const timer = setTimeout(() => resolve(false), answerMs + 1_000);
        waiting.set(question, (answers) => {
          clearTimeout(timer);
          resolve(answers);
        });
        void fleetBus.publish({ kind: 'ask', session: session.id, question });
      });
    } finally {
      waiting.delete(question);
    }
  }

  async function announce(ended: Session | null): Promise<void> {
    if (ended === null || ended.why === null) return;
    const own = held.get(ended.id);
    if (own !== undefined) own.close(ended.why);
    else await fleetBus.publish({ kind: 'ended', session: ended.id, why: ended.why });
  }

  async function refuse(newcomer: Omit<NewSession, 'copy'>, result: Extract<BeginResult, { result: 'conflict' | 'refused' }>): Promise<never> {
    const { host, bootId } = newcomer;
    if (result.result === 'refused') throw refusal(result.code, host, bootId, result.conflict?.agents.map((agent) => agent.bootId) ?? []);
    const { conflict, ended } = result;
    const detail = { conflict: conflict.id, agents: conflict.agents };
    await stores.audit.append({ at: new Date().toISOString(), event: 'host.identity_conflict', actor: 'fairlead', subject: `host/${host}`, runId: null, detail }, `host.identity_conflict:${conflict.id}`);
    await announce(ended);
    throw refusal('identity_conflict', host, bootId, conflict.agents.map((agent) => agent.bootId));
  }

  return {
    copy,
    async begin(newcomer, log) {
      let asked: BeginFacts['asked'] = null;
      for (let attempt = 1; ; attempt += 1) {
        const result = await stores.sessions.begin({ ...newcomer, copy }, asked);
        switch (result.result) {
          case 'begun':
            log.info({ host: newcomer.host, session: result.session.id, bootId: newcomer.bootId, transport: newcomer.transport, releases: newcomer.releases }, 'a host is connected');
            await announce(result.ended);
            return { session: result.session, begun: true };
          case 'continued':
            return { session: result.session, begun: false };
          case 'ask':
            // Somebody else may have begun one meanwhile: then that one is asked.
            if (attempt >= tries) throw refusal('session_superseded', newcomer.host, newcomer.bootId, []);
            asked = { session: result.session.id, answers: await ask(result.session) };
            continue;
          default:
            log.warn({ host: newcomer.host, bootId: newcomer.bootId, remoteAddress: newcomer.remoteAddress, result: result.result }, 'a host was refused');
            return refuse(newcomer, result);
        }
      }
    },
    hold: (session, connection) => void held.set(session, connection),
    release: (session) => void held.delete(session),
    async end(session, why) {
      await announce(await stores.sessions.end(session, why));
    },
    announce,
    async bind(identity, host) {
      requireOwnHost(identity, host);
      if (identity.role !== 'agent' || identity.host === host) return;
      const result = await stores.keys.bind(identity.id, host);
      if (result === 'other_host') return requireOwnHost({ ...identity, host: 'another one' as HostId }, host);
      if (result === 'bound') {
        const detail = { key: identity.id, name: identity.name, why: 'first used by this host' };
        await stores.audit.append({ at: new Date().toISOString(), event: 'key.bound', actor: actorOf(identity), subject: `host/${host}`, runId: null, detail }, `key.bound:${identity.id}`);
      }
    },
    held: () => [...held],
    close: unsubscribe,
  };
}

const sentences = {
  identity_conflict: 'two agents showed its identity at the same time. Until a person decides, all of them are refused',
  identity_refused: 'a person decided that another agent is this host',
  session_superseded: 'another agent process of this host has taken its place',
} as const;

function refusal(code: keyof typeof sentences, host: HostId, bootId: string, boots: readonly string[]): FairleadError {
  const hint =
    code === 'session_superseded'
      ? 'Say hello again.'
      : `Find out which machine is ${host}${boots.length === 0 ? '' : ` (boot ids ${boots.join(', ')})`}. Then: fairlead nodes accept ${host} --boot-id ID --reason TEXT, or give it a new identity: fairlead nodes enroll ${host}`;
  return new FairleadError({ class: 'request', code, message: `Agent ${bootId} is not heard as host ${host}: ${sentences[code]}.`, hint }, { retryable: true });
}

const deaf = (): FairleadError =>
  new FairleadError(
    { class: 'dependency', code: 'fleet_bus_away', message: 'This copy of the API cannot ask the others now: its connection for notifications is away.', hint: 'It comes back by itself. If it does not: LISTEN needs a direct connection to PostgreSQL, not a pool by transaction.' },
    { retryable: true },
  );
