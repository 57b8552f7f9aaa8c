import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server as TlsServer, type ServerOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { covers } from '../../../domain/certificate/host-name.ts';
import type { RouterTls } from '../../../ports/router.ts';

/** What a TLS server is given. Never leaves the process. */
export interface Pair {
  readonly key: Buffer;
  readonly cert: Buffer;
  readonly minVersion: 'TLSv1.2';
  /** No session tickets: their key would have to be rotated by hand. */
  readonly secureOptions: number;
}

/** @throws where the pair is not there, or key and certificate do not belong together */
export function loadPair(directory: string): Pair {
  const pair: Pair = { key: readFileSync(`${directory}/key.pem`), cert: readFileSync(`${directory}/fullchain.pem`), minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET };
  createSecureContext(pair);
  return pair;
}

export function createTlsServer(timing: ServerOptions, pair: Pair, handle: (request: IncomingMessage, response: ServerResponse) => void): TlsServer {
  return createServer({ ...timing, ...pair }, handle);
}

/** Pure: where plain HTTP is sent to. A name that the client asked for is repeated only where it is one of the certificate's. Null where there is none to send it to. */
export function redirectOf({ names, ports }: Pick<RouterTls, 'names' | 'ports'>, host: string, path: string): string | null {
  const asked = host.replace(/:\d*$/, '').toLowerCase();
  const name = names.some((certified) => covers(certified, asked)) ? asked : names.find((certified) => !certified.startsWith('*'));
  const port = ports[0] === undefined || ports[0] === 443 ? '' : `:${ports[0]}`;
  return name === undefined ? null : `https://${name}${port}${path.startsWith('/') ? path : '/'}`;
}

/** Pure: the value of Strict-Transport-Security (RFC 6797 section 6.1); null where none is sent. */
export function strictOf(tls: Pick<RouterTls, 'hsts'> | undefined): string | null {
  const hsts = tls?.hsts ?? null;
  return hsts === null ? null : `max-age=${hsts.maxAgeSeconds}${hsts.includeSubDomains ? '; includeSubDomains' : ''}${hsts.preload ? '; preload' : ''}`;
}
