import { createHash } from 'node:crypto';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import type { Handshake } from '../../domain/certificate/served.ts';
import type { TlsProbe } from '../../ports/tls-probe.ts';

/** Handshakes by Node's own TLS. @param limitMs of one, from connecting on. Default 5,000. */
export function createTlsProbe({ limitMs = 5_000 }: { limitMs?: number } = {}): TlsProbe {
  return {
    handshake(target, cancel) {
      return new Promise<Handshake>((resolve) => {
        // Who answers is compared by fingerprint; trust is the clients' question, and a new root may not be known here.
        const socket = connect({ host: target.address, port: target.port, servername: target.name, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
        const end = (answer: Omit<Handshake, 'target'>): void => {
          clearTimeout(timer);
          cancel?.removeEventListener('abort', stop);
          socket.destroy();
          resolve({ target, ...answer });
        };
        const fail = (error: string): void => end({ chain: [], protocol: null, error });
        const timer = setTimeout(() => fail(`no answer within ${limitMs} ms`), limitMs);
        const stop = (): void => fail('cancelled');
        cancel?.addEventListener('abort', stop);
        socket.on('error', (error: NodeJS.ErrnoException) => fail(error.message || error.code || 'unknown error'));
        socket.once('close', () => fail('the connection was closed'));
        socket.once('secureConnect', () => end({ chain: chainOf(socket.getPeerCertificate(true)), protocol: socket.getProtocol(), error: null }));
        if (cancel?.aborted) stop();
      });
    },
  };
}

/** The certificates that were sent. A root that is its own issuer ends the list. */
function chainOf(certificate: DetailedPeerCertificate): string[] {
  const chain: string[] = [];
  for (let link: DetailedPeerCertificate | undefined = certificate; link?.raw; link = link.issuerCertificate) {
    const fingerprint = createHash('sha256').update(link.raw).digest('hex');
    if (chain.includes(fingerprint)) break;
    chain.push(fingerprint);
  }
  return chain;
}
