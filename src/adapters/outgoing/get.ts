import { lookup as lookUp } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { refuseAddress } from '../../domain/access/outgoing.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { OutgoingCredentials } from './credentials.ts';

/** Enough for an answer of a gate or a metric; a longer one has failed. */
const maxBytes = 1024 * 1024;

export interface OutgoingAnswer {
  readonly status: number;
  readonly text: string;
}
export type OutgoingGet = (url: string | URL, options: { readonly timeoutMs: number; readonly cancel: AbortSignal; readonly headers?: Readonly<Record<string, string>> }) => Promise<OutgoingAnswer>;
/** As `dns.lookup` with `all`. */
export type LookUpAll = (name: string, callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void) => void;

const systemLookUp: LookUpAll = (name, callback) => lookUp(name, { all: true }, callback);

/**
 * Asks addresses that somebody else chose (a rollout, a manifest), by GET. The name is resolved once, every address is held against {@link refuseAddress}, and the connection is
 * made to one of those that passed: a name that answers otherwise the next time gains nothing. Redirects are answers, not followed; nothing goes through a proxy of the environment.
 *
 * @param allowed addresses and networks that may be asked although they are refused otherwise
 * @param credentials what is shown at an address, once that has passed; default: nothing
 * @throws FairleadError `outgoing_refused`, `outgoing_password`; the system's error where nobody answers
 */
export function createOutgoingGet(allowed: readonly string[] = [], lookUpAll: LookUpAll = systemLookUp, credentials: OutgoingCredentials = async () => ({})): OutgoingGet {
  const ask = createOutgoingRequest(allowed, lookUpAll);
  return async (url, { timeoutMs, cancel, headers = {} }) => {
    const shown = async (target: URL) => ({ accept: 'application/json', ...(await credentials(target)), ...headers });
    return ask(url, { method: 'GET', body: null, headers: shown, timeoutMs, cancel }, async (response) => ({ status: response.statusCode ?? 0, text: await textOf(response) }));
  };
}

export interface OutgoingRequest {
  readonly method: 'GET' | 'POST';
  readonly body: string | null;
  /** Asked for once the address has passed. */
  readonly headers: (target: URL) => Promise<Readonly<Record<string, string>>>;
  /** For everything, the reading of the answer among it. */
  readonly timeoutMs: number;
  readonly cancel: AbortSignal;
}

/** What {@link createOutgoingGet} and whatever else asks addresses of others goes through. @param read what is made of the answer; the connection is closed after it */
export function createOutgoingRequest(allowed: readonly string[] = [], lookUpAll: LookUpAll = systemLookUp) {
  return async <Answer>(url: string | URL, { method, body, headers, timeoutMs, cancel }: OutgoingRequest, read: (response: IncomingMessage) => Promise<Answer>): Promise<Answer> => {
    const target = new URL(url);
    const host = target.hostname.replace(/^\[|\]$/g, '');
    // A literal address is never looked up, so it is looked at here.
    const why = isIP(host) === 0 ? null : refuseAddress(host, allowed);
    if (why !== null) throw refused(target.host, host, why);
    if (target.username !== '' || target.password !== '') throw passwordInUrl(target.host);
    const shown = await headers(target);
    const limit = AbortSignal.timeout(timeoutMs);
    const send = target.protocol === 'https:' ? requestHttps : requestHttp;
    return new Promise<Answer>((resolve, reject) => {
      const fail = (error: unknown) => reject(limit.aborted && !cancel.aborted ? new Error(`no complete answer within ${timeoutMs} ms`) : error);
      const length: Record<string, string> = body === null ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const request = send(target, { method, agent: false, signal: AbortSignal.any([cancel, limit]), headers: { connection: 'close', 'user-agent': 'fairlead', ...length, ...shown }, lookup: checkedLookup(allowed, lookUpAll) as never }, (response) => {
        read(response).then(resolve, fail);
      });
      request.on('error', fail);
      request.end(body ?? undefined);
    });
  };
}

/** Pure: refuses what is refused by its text alone, so that who asks for a rollout hears of it before it begins. */
export function refuseUrl(url: string, allowed: readonly string[]): FairleadError | null {
  const { host, hostname, username, password } = new URL(url);
  if (username !== '' || password !== '') return passwordInUrl(host);
  const address = hostname.replace(/^\[|\]$/g, '');
  const why = isIP(address) === 0 ? null : refuseAddress(address, allowed);
  return why === null ? null : refused(host, address, why);
}

type Found = (error: Error | null, address?: string | LookupAddress[], family?: number) => void;

function checkedLookup(allowed: readonly string[], lookUpAll: LookUpAll) {
  return (name: string, options: LookupOptions, found: Found): void => {
    lookUpAll(name, (error, addresses) => {
      if (error !== null) return found(error);
      for (const { address } of addresses) {
        const why = refuseAddress(address, allowed);
        // One bad address among good ones is no accident.
        if (why !== null) return found(refused(name, address, why));
      }
      const fitting = addresses.filter(({ family }) => !options.family || options.family === family);
      const first = fitting[0];
      if (first === undefined) return found(new Error(`${name} has no address`));
      if (options.all) found(null, fitting);
      else found(null, first.address, first.family);
    });
  };
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

// It would stand in the database, in histories, and in every answer about the rollout.
const passwordInUrl = (host: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'outgoing_password',
    message: `The address at ${host} has a user or a password in it, which would be kept and shown as it is.`,
    hint: `Leave it out of the address. A token is kept sealed: fairlead settings set bearer.https@${host}`,
  });

const refused = (name: string, address: string, why: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'outgoing_refused',
    message: `${name} is not asked: its address ${address} is ${why}.`,
    hint: 'Name another address, or have the operator of this process allow it: FAIRLEAD_OUTGOING_ALLOW.',
  });
