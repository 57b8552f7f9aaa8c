/** Asks the way that a certificate authority would take. */
export interface OriginProbe {
  /** Every address of a name, IPv4 and IPv6; none where it does not resolve. Never throws. */
  resolve(name: string): Promise<readonly string[]>;
  /** `GET http://name:port/path` at one address, redirects not followed. Never throws: `error` says what happened. */
  get(ask: { readonly address: string; readonly port: number; readonly name: string; readonly path: string }, cancel?: AbortSignal): Promise<{ readonly status: number; readonly body: string } | { readonly error: string }>;
}
