import type { Reason } from '../failure.ts';

/** One place where a client may meet the certificate. */
export interface TlsTarget {
  readonly address: string;
  readonly port: number;
  /** What the client asks for (SNI, RFC 6066). */
  readonly name: string;
}

export interface Handshake {
  readonly target: TlsTarget;
  /** Fingerprints (SHA-256 of the DER) of what was sent, the certificate first; empty where the handshake failed. */
  readonly chain: readonly string[];
  /** `TLSv1.3`; null where the handshake failed. */
  readonly protocol: string | null;
  readonly error: string | null;
}

/** A process that accepts connections for the router. */
export interface RouterWorker {
  readonly pid: number;
  /** Clock ticks from boot to its start: the pid alone may have been given away again. */
  readonly startTicks: string;
  /** False once it has closed its listening sockets and only ends what is under way. */
  readonly accepting: boolean;
}

/** What was seen on one listener for one name. */
export interface Served {
  readonly target: TlsTarget;
  readonly handshakes: number;
  /** How often each certificate was sent, by fingerprint. */
  readonly fingerprints: Readonly<Record<string, number>>;
  readonly protocols: readonly string[];
  /** The first few. */
  readonly errors: readonly string[];
}

export interface ServedInput {
  readonly expected: string;
  readonly expectedChain: readonly string[];
  readonly handshakes: readonly Handshake[];
  /** The workers from before the reload; null where new ones need not be proven. */
  readonly workersBefore: readonly Pick<RouterWorker, 'pid' | 'startTicks'>[] | null;
  /** Null where the router has no workers of its own. */
  readonly workersNow: readonly RouterWorker[] | null;
}

/** Pure: every listener and name of a host. @param address where the router listens, as its configuration says it. A star in a name is asked for by an example. */
export function targetsOf({ names, ports }: { readonly names: readonly string[]; readonly ports: readonly number[] }, address: string): TlsTarget[] {
  const reached = ['*', '0.0.0.0', ''].includes(address) ? '127.0.0.1' : address === '[::]' ? '::1' : address.replace(/^\[|\]$/g, '');
  return ports.flatMap((port) => names.map((name) => ({ address: reached, port, name: name.replace(/^\*/, 'fairlead') })));
}

/** Pure: every place, and what was served there. */
export function summarize(handshakes: readonly Handshake[]): Served[] {
  const places = new Map<string, Served>();
  for (const { target, chain, protocol, error } of handshakes) {
    const key = shown(target);
    const before: Served = places.get(key) ?? { target, handshakes: 0, fingerprints: {}, protocols: [], errors: [] };
    const { handshakes: count, fingerprints, protocols, errors } = before;
    const own = chain[0];
    places.set(key, {
      target,
      handshakes: count + 1,
      fingerprints: own === undefined ? fingerprints : { ...fingerprints, [own]: (fingerprints[own] ?? 0) + 1 },
      protocols: protocol === null || protocols.includes(protocol) ? protocols : [...protocols, protocol],
      errors: error === null || errors.includes(error) || errors.length >= 3 ? errors : [...errors, error],
    });
  }
  return [...places.values()];
}

/**
 * Pure: why a certificate does not count as served; null where every handshake on every listener and name was answered with it and its chain, by workers that
 * were started after the reload.
 */
export function servedProblem({ expected, expectedChain, handshakes, workersBefore, workersNow }: ServedInput): Reason | null {
  const host = (code: string, message: string, hint: string): Reason => ({ class: 'host', code, message, hint });
  const failed = handshakes.find(({ chain }) => chain.length === 0);
  if (failed) return host('handshake_failed', `A TLS handshake with ${shown(failed.target)} failed: ${failed.error}`, 'Look at the log of the router and whether something else listens there.');
  const wrong = handshakes.filter(({ chain }) => chain[0] !== expected);
  const stale = workersBefore?.filter((old) => workersNow?.some((now) => now.accepting && now.pid === old.pid && now.startTicks === old.startTicks)) ?? [];
  if (handshakes.length === 0 || wrong.length === handshakes.length || (workersNow !== null && stale.length > 0 && stale.length === workersNow.filter(({ accepting }) => accepting).length)) {
    const what = handshakes.length === 0 ? 'no listener was asked' : wrong.length === handshakes.length ? `every listener still serves ${brief(wrong[0]?.chain[0])}` : 'the workers are those from before it';
    return host('reload_did_nothing', `The router was reloaded and did not take the new certificate up: ${what}; ${brief(expected)} is expected.`, 'Its log says why: too many open files, or a file that its master may not read.');
  }
  const stuck = wrong[0];
  if (stuck) {
    const places = [...new Set(wrong.map(({ target }) => shown(target)))];
    return host('listener_stuck', `${places.join(', ')} serves ${brief(stuck.chain[0])} where ${brief(expected)} is served elsewhere.`, 'Something else than the router ends TLS there, or its configuration was changed by hand.');
  }
  if (stale.length > 0) return host('worker_stuck', `Worker ${stale.map(({ pid }) => pid).join(', ')} of the router accepts connections since before the reload.`, 'It may serve the old certificate: look at the log of the router.');
  const short = handshakes.find(({ chain }) => expectedChain.some((fingerprint) => !chain.includes(fingerprint)));
  if (short) return host('chain_not_served', `${shown(short.target)} sends ${short.chain.length} of the ${expectedChain.length} certificates of the chain.`, 'See that the router serves fullchain.pem.');
  return null;
}

export const shown = ({ address, port, name }: TlsTarget): string => `${address.includes(':') ? `[${address}]` : address}:${port} (${name})`;
const brief = (fingerprint: string | undefined): string => `certificate ${(fingerprint ?? '(none)').slice(0, 16)}…`;
