import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { randomBytes } from 'node:crypto';
import { WebSocketServer } from 'ws';
import { problemMediaType } from '../../contract/index.ts';
import { clientAddress } from '../../domain/access/client-address.ts';
import { FairleadError } from '../../domain/failure.ts';
import { closeCodeOf, fleetHeaders, fleetPath, maxFleetMessageBytes } from '../../domain/fleet/protocol.ts';
import { namePattern, type HostId } from '../../domain/ids.ts';
import type { Api } from '../api.ts';
import { identify } from '../authentication.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { problemOfFailure } from '../problems.ts';
import { RateLimited, type RateLimits } from '../rate-limits.ts';
import { serveConnection } from './connection.ts';
import type { HelloHandler } from './hello.ts';
import type { FleetSessions } from './sessions.ts';

/** Takes connections of hosts on the API's own server. Who may not is refused with a problem before anything is upgraded (RFC 6455 section 4.2.2). */
export function acceptFleetConnections(app: Api, { stores, settings }: Pick<ApiDependencies, 'stores' | 'settings'>, sessions: FleetSessions, hello: HelloHandler, limits: RateLimits): void {
  const server = new WebSocketServer({ noServer: true, clientTracking: true, maxPayload: maxFleetMessageBytes, perMessageDeflate: false });
  let closing = false;

  async function admit(request: IncomingMessage): Promise<Parameters<typeof serveConnection>[1]['agent']> {
    if (new URL(request.url ?? '/', 'http://api').pathname !== fleetPath) throw new FairleadError({ class: 'request', code: 'unknown_route', message: `There is no connection at ${request.url?.split('?')[0]}.`, hint: `Hosts connect to ${fleetPath}.` });
    if (closing) throw new FairleadError({ class: 'orchestrator', code: 'closing', message: 'This copy of the API is closing.', hint: 'Ask again; another copy answers.' }, { retryable: true });
    const forwarded = request.headers['x-forwarded-for'];
    const address = clientAddress(request.socket.remoteAddress ?? 'unknown', Array.isArray(forwarded) ? forwarded.join(',') : forwarded, settings.trustedProxies ?? []);
    limits.address(address);
    const identity = await identify(stores.keys, limits, request.headers, address, { roles: ['agent'] });
    limits.key(identity.id);
    const host = request.headers[fleetHeaders.host];
    const bootId = request.headers[fleetHeaders.bootId];
    if (typeof host !== 'string' || !namePattern.test(host) || typeof bootId !== 'string' || !/^[\x21-\x7e]{1,64}$/.test(bootId)) {
      throw new FairleadError({ class: 'request', code: 'invalid_request', message: `A host names itself in the headers ${fleetHeaders.host} and ${fleetHeaders.bootId}.`, hint: 'Only agents connect here.' });
    }
    await sessions.bind(identity, host as HostId);
    const conflict = await stores.sessions.conflict(host as HostId);
    // Said before the upgrade where it is known by then; the session itself is decided about when it begins.
    if (conflict !== null && conflict.decidedAt === null && conflict.agents.some((agent) => agent.bootId === bootId)) {
      const boots = conflict.agents.map((agent) => agent.bootId).join(', ');
      throw new FairleadError({ class: 'request', code: 'identity_conflict', message: `Two agents showed the identity of host ${host} at the same time; both are refused until a person decides.`, hint: `Boot ids: ${boots}. Then: fairlead nodes accept ${host} --boot-id ID --reason TEXT, or: fairlead nodes enroll ${host}` }, { retryable: true });
    }
    return { host: host as HostId, bootId, identity, remoteAddress: address };
  }

  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until it is a WebSocket nobody else listens, and an error without a listener would end the process.
    const broke = (): void => void socket.destroy();
    socket.on('error', broke);
    admit(request).then(
      (agent) => {
        if (socket.destroyed) return;
        socket.off('error', broke);
        server.handleUpgrade(request, socket, head, (accepted) => serveConnection(accepted, { agent, sessions, hello, stores, times: settings.fleet ?? {}, log: app.log }));
      },
      (error: unknown) => refuse(app, socket, error),
    );
  });

  // Before the server is closed: it would wait for these connections for ever.
  app.addHook('preClose', async () => {
    closing = true;
    const ended = sessions.held().map(async ([session, connection]) => {
      connection.close('api_closing');
      await stores.sessions.end(session, 'api_closing').catch(() => null); // Else it ends by its silence.
    });
    await Promise.all(ended);
    for (const socket of server.clients) {
      socket.close(closeCodeOf('api_closing'), 'api_closing');
      setTimeout(() => socket.terminate(), 500).unref();
    }
    server.close();
  });
}

function refuse(app: Api, socket: Duplex, error: unknown): void {
  if (!(error instanceof FairleadError)) app.log.error({ err: error }, 'request failed');
  const failure = error instanceof FairleadError ? error : new FairleadError({ class: 'orchestrator', code: 'internal_error', message: 'The API made a mistake. What went wrong stands in its log.' });
  const problem = problemOfFailure(failure, { id: `req-${randomBytes(8).toString('hex')}` });
  app.log.info({ code: problem.code, status: problem.status, detail: problem.detail }, 'a connection was refused');
  const body = JSON.stringify(problem);
  const authenticate = problem.status === 401 ? 'www-authenticate: Bearer realm="fairlead"\r\n' : failure instanceof RateLimited ? `retry-after: ${failure.retryAfterSeconds}\r\n` : '';
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\nconnection: close\r\n${authenticate}content-type: ${problemMediaType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
