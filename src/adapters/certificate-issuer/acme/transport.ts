import { request as requestHttp, type IncomingHttpHeaders } from 'node:http';
import { request as requestHttps } from 'node:https';
import { FairleadError } from '../../../domain/failure.ts';

export interface AcmeResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Parsed where the CA says that it is JSON, else the text. */
  readonly data: unknown;
}

export type AcmeTransport = (url: string, method: string, body: unknown) => Promise<AcmeResponse>;

export interface TransportOptions {
  /** PEM roots for the CA's HTTPS; null: those that Node trusts. */
  readonly caBundle: string | null;
  /** Plain HTTP is refused unless the directory itself is plain (a CA on this machine). */
  readonly directoryUrl: string;
  /** For one request with its answer, in milliseconds. */
  readonly timeoutMs: number;
}

const maxBodyBytes = 1024 * 1024;

/**
 * One request, one answer: no proxy, no redirect (RFC 8555 has none), no retry, no connection that stays. What a status means is `problem.ts`'s business.
 * @throws FairleadError `ca_away`, `ca_tls_failed`, `ca_answer_invalid`
 */
export function createAcmeTransport({ caBundle, directoryUrl, timeoutMs }: TransportOptions): AcmeTransport {
  const mayBePlain = new URL(directoryUrl).protocol === 'http:';
  return (text, method, body) => {
    const url = parseUrl(text);
    if (url === null || !(url.protocol === 'https:' || (mayBePlain && url.protocol === 'http:'))) return Promise.reject(invalid(`it names an address that is not HTTPS: ${text.slice(0, 200)}`));
    const payload = body === undefined || body === null ? null : JSON.stringify(body);
    const headers = {
      'User-Agent': 'fairlead (acme-client)',
      'Accept-Language': 'en',
      ...(payload === null ? {} : { 'Content-Type': 'application/jose+json', 'Content-Length': String(Buffer.byteLength(payload)) }),
    };
    return new Promise((resolve, reject) => {
      const options = { method: method.toUpperCase(), headers, agent: false as const, signal: AbortSignal.timeout(timeoutMs) };
      const fail = (error: unknown): void => reject(error instanceof FairleadError ? error : networkError(url, error, timeoutMs));
      const sent = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, url.protocol === 'https:' && caBundle !== null ? { ...options, ca: caBundle } : options, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('error', fail);
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxBodyBytes) sent.destroy(invalid(`it answered with more than ${maxBodyBytes} bytes`));
          else chunks.push(chunk);
        });
        response.on('end', () => {
          try {
            resolve({ status: response.statusCode ?? 0, headers: response.headers, data: decode(response.headers['content-type'], Buffer.concat(chunks).toString('utf8')) });
          } catch (error) {
            fail(error);
          }
        });
      });
      sent.on('error', fail);
      sent.end(payload ?? undefined);
    });
  };
}

function decode(type: string | undefined, text: string): unknown {
  if (!/^application\/([\w.+-]+\+)?json\b/i.test(type ?? '') || text === '') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw invalid(`it says that it answers with JSON, and does not: ${JSON.stringify(text.slice(0, 100))}`);
  }
}

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null;
}

export function invalid(what: string): FairleadError {
  return new FairleadError({ class: 'dependency', code: 'ca_answer_invalid', message: `The CA's answer cannot be used: ${what}.`, hint: 'Check the directory URL; the certificate in use stays.' });
}

const tlsCodes = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|HOSTNAME_MISMATCH|EPROTO)/;

function networkError(url: URL, error: unknown, timeoutMs: number): FairleadError {
  const code = String((error as { code?: unknown } | null)?.code ?? '');
  const why = error instanceof Error ? (error.name === 'TimeoutError' || error.name === 'AbortError' ? `no answer within ${timeoutMs} ms` : error.message) : String(error);
  if (tlsCodes.test(code)) {
    return new FairleadError(
      { class: 'dependency', code: 'ca_tls_failed', message: `${url.host} was not trusted: ${why}`, hint: "Give the issuer the CA's bundle (caBundleFile), and check the host's clock." },
      { cause: error },
    );
  }
  return new FairleadError(
    { class: 'dependency', code: 'ca_away', message: `${url.host} could not be reached: ${why}`, hint: 'Nothing has to be done while the certificate in use is valid: it is tried again.' },
    { cause: error, retryable: true },
  );
}
