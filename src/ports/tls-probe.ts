import type { Handshake, TlsTarget } from '../domain/certificate/served.ts';

export interface TlsProbe {
  /**
   * One TLS handshake over a new connection, without a session of an earlier one. Whether the certificate can be trusted is not judged. Never throws: an error or
   * a time-out is an answer.
   */
  handshake(target: TlsTarget, cancel?: AbortSignal): Promise<Handshake>;
}
