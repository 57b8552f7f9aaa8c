import { Connection } from '@temporalio/client';

/** The longest pause between two tries to reach a server that is away. The library's own limit is two minutes, for which a host would stand still. */
const longestReconnectMs = 5_000;

/**
 * An agent's connection to Temporal. It connects when it is first used and keeps trying.
 *
 * Without the client's own retries: the poller repeats whatever has to be repeated, and says so. Theirs can lose the abort of a poll, and go on
 * after the connection was closed, which ends the process.
 *
 * @param address host:port
 */
export function createAgentConnection(address: string): Connection {
  return Connection.lazy({ address, interceptors: [], channelArgs: { 'grpc.initial_reconnect_backoff_ms': 200, 'grpc.max_reconnect_backoff_ms': longestReconnectMs } });
}
