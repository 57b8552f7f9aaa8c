import { randomUUID } from 'node:crypto';
import { fleetClose, fleetHeaders, fleetPath, maxFleetMessageBytes } from '../../domain/fleet/protocol.ts';
import type { HostId } from '../../domain/ids.ts';
import { postJson, RefusedByApi } from './http.ts';
import { openFleetSocket, type FleetSocket } from './socket.ts';

export interface FleetConnectionOptions {
  readonly apiUrl: string;
  readonly host: HostId;
  readonly bootId: string;
  /** Read anew for every connection, so that a new identity is taken up. */
  readonly readKey: () => Promise<string>;
  /** A connection that stood has ended: say hello again soon. */
  readonly lost: (why: string) => void;
  readonly changed: (transport: 'websocket' | 'http', why: string) => void;
  /** After how long on HTTP the WebSocket is tried again. Default 5 minutes. */
  readonly retryMs?: number;
  readonly now?: () => number;
}

export interface FleetConnection {
  /**
   * Says hello over the WebSocket, or over HTTP where no WebSocket gets through.
   * @param make the hello; `begins` says whether it begins a session, and has to tell what runs
   * @throws Error where control did not hear it
   */
  say(make: (begins: boolean) => Promise<object>): Promise<Record<string, unknown>>;
  /** The next hello begins a new session. */
  renew(): Promise<void>;
  transport(): 'websocket' | 'http';
  /** Says goodbye. */
  close(): Promise<void>;
}

/** So often in a row a WebSocket may fail while HTTP answers; then a proxy in between carries none. */
const failuresToFallBack = 3;

/**
 * Whether something in between knows no WebSocket: it has no such path, says so, or answered as if nobody had asked for an upgrade (RFC 9110 section
 * 7.8 allows a server to ignore it). What the API itself refuses (401, 403, 409, 503) is no reason to come by another way.
 */
const knowsNoWebSocket = (error: unknown): boolean => error instanceof RefusedByApi && ([404, 426, 501].includes(error.status) || error.status < 400);

/** A host's way to control: one WebSocket, and plain requests where that does not get through. */
export function createFleetConnection({ apiUrl, host, bootId, readKey, lost, changed, retryMs = 300_000, now = () => performance.now() }: FleetConnectionOptions): FleetConnection {
  let socket: FleetSocket | null = null;
  let failures = 0;
  let httpUntil: number | null = null;
  let clientRef: string | null = null;
  let closing = false;

  async function connect(): Promise<FleetSocket> {
    const url = new URL(fleetPath, apiUrl);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const headers = { authorization: `Bearer ${await readKey()}`, [fleetHeaders.host]: host, [fleetHeaders.bootId]: bootId };
    const opened: FleetSocket = await openFleetSocket(url, headers, (why) => {
      if (socket !== opened) return; // Given up on purpose.
      socket = null;
      if (!closing) lost(why);
    });
    return opened;
  }

  async function sayByHttp(make: (begins: boolean) => Promise<object>): Promise<Record<string, unknown>> {
    const begins = clientRef === null;
    const session = (clientRef ??= randomUUID());
    try {
      return await postJson(new URL(`/api/hosts/${host}/hello`, apiUrl), { authorization: `Bearer ${await readKey()}` }, { ...(await make(begins)), session }, maxFleetMessageBytes);
    } catch (error) {
      // Control may have missed how it began.
      clientRef = null;
      throw error;
    }
  }

  function fallBack(why: string): void {
    httpUntil = now() + retryMs;
    failures = 0;
    changed('http', why);
  }

  async function sayBySocket(make: (begins: boolean) => Promise<object>): Promise<Record<string, unknown>> {
    if (socket?.isOpen()) return socket.ask(await make(false));
    const opened = await connect();
    socket = opened;
    if (closing) await opened.close(fleetClose.goodbye, 'goodbye');
    const answer = await opened.ask(await make(true)).catch((error: unknown) => {
      // Whatever became of it on the other side: the next hello begins anew.
      if (socket === opened) socket = null;
      void opened.close(fleetClose.renewed, 'renewed');
      throw error;
    });
    failures = 0;
    clientRef = null;
    return answer;
  }

  return {
    async say(make) {
      if (httpUntil !== null && now() < httpUntil) return sayByHttp(make);
      try {
        const answer = await sayBySocket(make);
        if (httpUntil !== null) changed('websocket', 'it gets through again');
        httpUntil = null;
        return answer;
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        if (knowsNoWebSocket(error)) {
          const known = httpUntil !== null;
          fallBack(why);
          return await sayByHttp(make).catch((failure: unknown) => {
            // Then this way does not lead there either: the next time starts with the first one.
            if (!known) httpUntil = null;
            throw failure;
          });
        }
        if (error instanceof RefusedByApi) throw error;
        failures += 1;
        if (failures < failuresToFallBack && httpUntil === null) throw error;
        const answer = await sayByHttp(make).catch(() => null);
        if (answer === null) throw error;
        fallBack(why);
        return answer;
      }
    },
    async renew() {
      clientRef = null;
      const open = socket;
      socket = null;
      await open?.close(fleetClose.renewed, 'renewed');
    },
    transport: () => (httpUntil === null ? 'websocket' : 'http'),
    async close() {
      closing = true;
      const open = socket;
      socket = null;
      await open?.close(fleetClose.goodbye, 'goodbye');
    },
  };
}
