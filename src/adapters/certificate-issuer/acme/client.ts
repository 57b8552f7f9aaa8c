import acme from 'acme-client';
import { problemOf } from './problem.ts';
import { invalid, type AcmeResponse, type AcmeTransport } from './transport.ts';

/**
 * `acme-client` with its ways of asking replaced. It signs (JWS over RSA and EC keys), binds external accounts, knows the resources and makes requests for
 * certificates; what it does not do is done here: its own HTTP client repeats 429 and 5xx inside the call, forgets nonces that it was given, gives up
 * after five rejected ones, and loses type and headers of a refusal.
 */
export interface AcmeClient {
  directory(): Promise<Readonly<Record<string, unknown>>>;
  /** POST of an object, POST-as-GET of null, signed by the account. @throws AcmeProblem */
  post(url: string, payload: object | null, doing: string): Promise<AcmeResponse>;
  /** The account of the key: made, or found. @returns its URL */
  register(contact: readonly string[]): Promise<string>;
  /** Without a signature, as renewal information is asked for. @throws AcmeProblem */
  get(url: string, doing: string): Promise<AcmeResponse>;
  keyAuthorization(challenge: { readonly type: string; readonly token: string }): Promise<string>;
  /** How far the host's clock is ahead of the CA's, in milliseconds, from the last answer with a date; null before one. */
  clockAheadMs(): number | null;
}

export interface AcmeClientOptions {
  readonly directoryUrl: string;
  /** PEM. */
  readonly accountKey: string;
  readonly accountUrl: string | null;
  readonly externalAccountBinding: { readonly kid: string; readonly hmacKey: string } | null;
  readonly transport: AcmeTransport;
  readonly now: () => number;
}

/** With nine in ten rejected, one of two hundred requests would still fail at 50; at this bound one of three hundred thousand. */
export const maxNonceAttempts = 120;

/** What `acme-client` 5.4 has inside and its types leave out. */
interface Internals {
  readonly http: {
    request: (url: string, method: string, options?: { data?: unknown }) => Promise<AcmeResponse>;
    signedRequest: (url: string, payload: object | null, options?: SignedOptions) => Promise<AcmeResponse>;
    getDirectory(): Promise<Record<string, unknown>>;
    getNonce(): Promise<string>;
    getJwk(): object;
    createSignedBody(url: string, payload: object | null, options: { nonce: string; kid: string | null }): object;
    createSignedHmacBody(hmacKey: string, url: string, payload: object, options: { kid: string }): object;
  };
  readonly api: { accountUrl: string | null; createAccount(data: object): Promise<AcmeResponse> };
}

interface SignedOptions {
  readonly kid?: string | null;
  readonly includeExternalAccountBinding?: boolean;
}

export function createAcmeClient({ directoryUrl, accountKey, accountUrl, externalAccountBinding: binding, transport, now }: AcmeClientOptions): AcmeClient {
  const client = new acme.Client({ directoryUrl, accountKey, ...(accountUrl === null ? {} : { accountUrl }) });
  const { http, api } = client as unknown as Internals;
  let spareNonce: string | null = null;
  let aheadMs: number | null = null;

  const ask = async (url: string, method: string, body: unknown): Promise<AcmeResponse> => {
    const response = await transport(url, method, body);
    const nonce = response.headers['replay-nonce'];
    if (typeof nonce === 'string' && /^[\w-]+$/.test(nonce)) spareNonce = nonce;
    const date = Date.parse(response.headers.date ?? '');
    if (!Number.isNaN(date)) aheadMs = now() - date;
    return response;
  };

  http.request = async (url, method, options) => {
    const response = await ask(url, method, options?.data);
    if (response.status >= 400) throw problemOf(response, `${method.toUpperCase()} ${pathOf(url)}`, now());
    return response;
  };

  http.signedRequest = async (url, payload, { kid = null, includeExternalAccountBinding = false } = {}) => {
    const bound = includeExternalAccountBinding && binding !== null ? { ...payload, externalAccountBinding: http.createSignedHmacBody(binding.hmacKey, url, http.getJwk(), { kid: binding.kid }) } : payload;
    for (let attempt = 1; ; attempt += 1) {
      // The CA gives a new nonce with every answer, refusals included (RFC 8555, 6.5); asking for one is needed only at first.
      if (spareNonce === null) await http.getNonce();
      const nonce = spareNonce ?? '';
      spareNonce = null;
      const response = await ask(url, 'POST', http.createSignedBody(url, bound, { nonce, kid }));
      if (response.status < 400) return response;
      const problem = problemOf(response, `POST ${pathOf(url)}`, now());
      if (problem.type !== 'badNonce' || attempt === maxNonceAttempts) throw problem;
    }
  };

  return {
    async directory() {
      const directory: unknown = await http.getDirectory();
      if (typeof directory !== 'object' || directory === null || !('newOrder' in directory)) throw invalid(`${directoryUrl} is not the directory of an ACME server`);
      return directory as Record<string, unknown>;
    },
    post: (url, payload) => http.signedRequest(url, payload, { kid: api.accountUrl }),
    get: (url) => http.request(url, 'GET'),
    async register(contact) {
      api.accountUrl = null;
      await api.createAccount({ termsOfServiceAgreed: true, ...(contact.length === 0 ? {} : { contact }) });
      if (api.accountUrl === null) throw invalid('it made an account and did not say where');
      return api.accountUrl;
    },
    keyAuthorization: (challenge) => client.getChallengeKeyAuthorization(challenge as Parameters<typeof client.getChallengeKeyAuthorization>[0]),
    clockAheadMs: () => aheadMs,
  };
}

const pathOf = (url: string): string => (URL.canParse(url) ? new URL(url).pathname.slice(0, 100) : url.slice(0, 100));
