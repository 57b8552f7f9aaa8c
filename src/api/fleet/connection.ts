import { randomBytes } from 'node:crypto';
import type { FastifyBaseLogger } from 'fastify';
import { WebSocket } from 'ws';
import { AgentMessage } from '../../contract/index.ts';
import type { ControlMessage } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import { closeCodeOf, endOfClose, fleetClose, pingMs as defaultPingMs } from '../../domain/fleet/protocol.ts';
import type { SessionEnd } from '../../domain/fleet/session.ts';
import type { HostId } from '../../domain/ids.ts';
import type { KeyIdentity, KeyStore } from '../../ports/control-stores.ts';
import type { SessionStore } from '../../ports/fleet-stores.ts';
import { actorOf } from '../api.ts';
import type { FleetTimes } from '../dependencies.ts';
import type { HelloHandler } from './hello.ts';
import type { FleetSessions } from './sessions.ts';

export interface ConnectionOptions {
  readonly agent: { readonly host: HostId; readonly bootId: string; readonly identity: KeyIdentity; readonly remoteAddress: string };
  readonly sessions: FleetSessions;
  readonly hello: HelloHandler;
  readonly stores: { readonly sessions: SessionStore; readonly keys: KeyStore };
  readonly times: FleetTimes;
  readonly log: FastifyBaseLogger;
}

/** More than this waiting to be taken down is no agent of ours. */
const maxWaiting = 16;
/** A peer that does not take part in the closing is cut off after so long. */
const closingMs = 1_000;

/** One connection of a host, from the first hello to its end. Messages are taken one after the other. */
export function serveConnection(socket: WebSocket, { agent, sessions, hello, stores, times, log }: ConnectionOptions): void {
  const { host, bootId, identity, remoteAddress } = agent;
  const pingEveryMs = times.pingMs ?? defaultPingMs;
  let session: string | null = null;
  let alive = true;
  let waiting = 0;
  let ending: SessionEnd | null = null;
  let tail: Promise<void> = Promise.resolve();

  const send = (message: ControlMessage): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  function close(code: number, reason: string): void {
    if (socket.readyState === WebSocket.OPEN) socket.close(code, reason);
    setTimeout(() => socket.terminate(), closingMs).unref();
  }
  function closeAs(why: SessionEnd): void {
    ending ??= why;
    close(closeCodeOf(why), why);
  }

  const helloTimer = setTimeout(() => closeAs('silent'), times.helloMs ?? 10_000);
  const pinging = setInterval(() => {
    if (!alive) {
      ending ??= 'silent';
      socket.terminate(); // It would not answer a closing either.
      return;
    }
    alive = false;
    socket.ping();
  }, pingEveryMs);

  async function take(text: string): Promise<void> {
    const message = read(text);
    if (message === null) return closeAs('protocol');
    const parsed = AgentMessage.safeParse(message);
    if (!parsed.success) {
      const faults = parsed.error.issues.slice(0, 5).map(({ path, message: what }) => `${path.join('/')}: ${what}`);
      return send({ type: 'refused', id: message.id, code: 'invalid_message', message: `The message is not valid: ${faults.join('; ')}`, hint: 'The agent may be of another version than control.', retryable: false });
    }
    const { id, hello: body } = parsed.data;
    if (body.bootId !== bootId) return closeAs('protocol');
    try {
      // A key is checked where the connection is made; whoever takes it away means those that stand as well.
      if (!(await stores.keys.isValid(identity.id))) return closeAs('key_revoked');
      if (session === null) await begin(body);
      // Ended by a sweep, by a person, or by another agent: what becomes of this one is decided when it begins anew.
      else if (!(await stores.sessions.heard(session))) return closeAs('superseded');
      send({ type: 'heard', id, answer: await hello.take(host, actorOf(identity), body, log) });
    } catch (error) {
      refuse(id, error);
    }
  }

  async function begin(body: AgentMessage['hello']): Promise<void> {
    await sessions.bind(identity, host);
    const { role, agentVersion, releases = [] } = body;
    const begun = await sessions.begin({ host, bootId, transport: 'websocket', clientRef: '', role, releases, agentVersion, remoteAddress }, log);
    session = begun.session.id;
    clearTimeout(helloTimer);
    if (socket.readyState !== WebSocket.OPEN) return sessions.end(session, 'lost');
    sessions.hold(session, { answers, close: closeAs });
  }

  function refuse(id: number, error: unknown): void {
    const failure = error instanceof FairleadError ? error : null;
    if (failure === null) log.error({ err: error, host }, 'could not take down what a host tells');
    const { code, message, hint } = failure?.reason ?? { code: 'internal_error', message: 'The API made a mistake. What went wrong stands in its log.', hint: undefined };
    send({ type: 'refused', id, code, message, hint: hint ?? null, retryable: failure?.retryable ?? true });
    // Without a session there is nothing to keep the connection for. 1013: try again later.
    if (session === null) close(failure?.reason.class === 'request' ? (code === 'not_this_host' ? fleetClose.refused : fleetClose.conflict) : 1013, code);
  }

  function answers(limitMs: number): Promise<boolean> {
    if (socket.readyState !== WebSocket.OPEN) return Promise.resolve(false);
    const question = randomBytes(8);
    return new Promise((resolve) => {
      const end = (answer: boolean): void => {
        clearTimeout(timer);
        socket.off('pong', onPong);
        socket.off('close', onClose);
        resolve(answer);
      };
      const onPong = (data: Buffer): void => (data.equals(question) ? end(true) : undefined);
      const onClose = (): void => end(false);
      const timer = setTimeout(() => end(false), limitMs);
      socket.on('pong', onPong).on('close', onClose);
      socket.ping(question);
    });
  }

  socket.on('pong', () => (alive = true));
  socket.on('ping', () => (alive = true));
  socket.on('message', (data, isBinary) => {
    alive = true;
    waiting += 1;
    if (isBinary || waiting > maxWaiting) return closeAs('protocol');
    const text = (data as Buffer).toString('utf8');
    tail = tail.then(() => take(text)).finally(() => (waiting -= 1));
  });
  // A frame that is no frame, or one too long, is told here; the close that follows carries its code.
  socket.on('error', (error) => {
    if (/^WS_ERR_/.test((error as NodeJS.ErrnoException).code ?? '')) ending ??= 'protocol';
    log.info({ host, error: error.message }, 'the connection of a host broke');
  });
  socket.once('close', (code) => {
    clearTimeout(helloTimer);
    clearInterval(pinging);
    // After what is under way: it may be just beginning the session.
    void tail.then(async () => {
      if (session === null) return;
      sessions.release(session);
      const why = ending ?? endOfClose(code);
      log.info({ host, session, why, code }, 'a host is not connected any more');
      await stores.sessions.end(session, why);
    }).catch((error: unknown) => log.warn({ err: error, host, session }, 'could not write down that a session ended; it ends by its silence'));
  });
}

/** An object with a number, or null. */
function read(text: string): { id: number } | null {
  try {
    const value = JSON.parse(text) as { id?: unknown } | null;
    return typeof value === 'object' && value !== null && Number.isSafeInteger(value.id) ? (value as { id: number }) : null;
  } catch {
    return null;
  }
}
