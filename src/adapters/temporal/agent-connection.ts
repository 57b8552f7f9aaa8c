import { readFileSync } from 'node:fs';
import { Connection } from '@temporalio/client';
import { FairleadError } from '../../domain/failure.ts';

/** The longest pause between two tries to reach a server that is away. The library's own limit is two minutes, for which a host would stand still. */
const longestReconnectMs = 5_000;

/** How a host reaches Temporal through the gateway. */
export interface GatewayAccess {
  /** host:port */
  readonly address: string;
  /** Null for no encryption: a gateway on loopback, in development. */
  readonly tls: {
    /** PEM of who may vouch for the gateway; null for those that Node trusts. Read once. */
    readonly caFile: string | null;
  } | null;
  /** The host's key, read anew for every call: a new one needs no restart. Null where there is none now; the gateway then refuses the call. */
  readonly readKey: () => string | null;
}

/**
 * An agent's connection to Temporal, through the gateway or straight. It connects when it is first used and keeps trying.
 *
 * Without the client's own retries: the poller repeats whatever has to be repeated, and says so. Theirs can lose the abort of a poll, and go on
 * after the connection was closed, which ends the process.
 *
 * @param to the gateway, or host:port of the server itself
 * @throws FairleadError `gateway_ca_unreadable`
 */
export function createAgentConnection(to: string | GatewayAccess): Connection {
  const common = { interceptors: [], channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': longestReconnectMs } };
  if (typeof to === 'string') return Connection.lazy({ ...common, address: to });
  const { address, tls, readKey } = to;
  const certificates = tls?.caFile ? { serverRootCACertificate: readCertificates(tls.caFile) } : {};
  return Connection.lazy({ ...common, address, tls: tls === null ? false : certificates, apiKey: () => readKey() ?? '' });
}

function readCertificates(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new FairleadError(
      { class: 'host', code: 'gateway_ca_unreadable', message: `Who may vouch for the gateway is not known: ${file} cannot be read.`, hint: 'FAIRLEAD_GATEWAY_CA_FILE names the certificate of the authority, PEM; unset it where a public one has signed.' },
      { cause: error },
    );
  }
}
