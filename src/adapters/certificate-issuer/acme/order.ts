import type { ChallengeKind } from '../../../domain/certificate/names.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { AcmeClient } from './client.ts';
import { detailOf } from './problem.ts';
import { invalid } from './transport.ts';

/** RFC 8555, 7.1.3, as far as it is used. */
export interface AcmeOrder {
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  readonly authorizations: readonly string[];
  readonly finalize: string | null;
  readonly certificate: string | null;
  readonly error: unknown;
}

/** RFC 8555, 7.1.4. */
export interface AcmeAuthorization {
  readonly status: string;
  /** Without the wildcard's label. */
  readonly name: string;
  readonly challenges: readonly AcmeChallenge[];
}

export interface AcmeChallenge {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly status: string;
  readonly error: unknown;
}

const statuses = ['pending', 'ready', 'processing', 'valid', 'invalid'];

/** @throws FairleadError `ca_answer_invalid` */
export function asOrder(data: unknown): AcmeOrder {
  const { status, authorizations, finalize, certificate, error } = asRecord(data);
  if (typeof status !== 'string' || !statuses.includes(status)) throw invalid(`an order has the status ${JSON.stringify(status)?.slice(0, 40)}`);
  return {
    status: status as AcmeOrder['status'],
    authorizations: Array.isArray(authorizations) ? authorizations.filter((url) => typeof url === 'string') : [],
    finalize: typeof finalize === 'string' ? finalize : null,
    certificate: typeof certificate === 'string' ? certificate : null,
    error,
  };
}

/** One request for each name, one after the other. */
export async function authorizationsOf(client: AcmeClient, order: AcmeOrder): Promise<AcmeAuthorization[]> {
  const found: AcmeAuthorization[] = [];
  for (const url of order.authorizations) found.push(asAuthorization((await client.post(url, null, 'look at an authorization')).data));
  return found;
}

function asAuthorization(data: unknown): AcmeAuthorization {
  const { status, identifier, challenges } = asRecord(data);
  const name = asRecord(identifier)['value'];
  if (typeof status !== 'string' || typeof name !== 'string' || !/^[a-z0-9.-]+$/i.test(name)) throw invalid('an authorization has no status or no name');
  return { status, name: name.toLowerCase(), challenges: (Array.isArray(challenges) ? challenges : []).flatMap((challenge) => asChallenge(challenge) ?? []) };
}

function asChallenge(data: unknown): AcmeChallenge | null {
  const { type, url, token, status, error } = asRecord(data);
  if (typeof type !== 'string' || typeof url !== 'string' || typeof status !== 'string') return null;
  // The token becomes a file's name: RFC 8555, 8.3, allows nothing but base64url.
  return typeof token === 'string' && /^[\w-]{1,256}$/.test(token) ? { type, url, token, status, error } : null;
}

/** The challenge to be met for a name; null where the name is proven. @throws FairleadError `challenge_not_offered` */
export function challengeFor({ status, name, challenges }: AcmeAuthorization, kind: ChallengeKind): AcmeChallenge | null {
  if (status !== 'pending') return null;
  const challenge = challenges.find(({ type }) => type === kind);
  if (challenge !== undefined) return challenge;
  throw new FairleadError({ class: 'request', code: 'challenge_not_offered', message: `For ${name} the CA offers ${challenges.map(({ type }) => type).join(', ') || 'no challenge'}, and the issuer is set to ${kind}.`, hint: 'Set another challenge.' });
}

/** Why an order is invalid: what the CA saw of each name that it could not validate. */
export async function failureOf(client: AcmeClient, order: AcmeOrder): Promise<FairleadError> {
  const failed = (await authorizationsOf(client, order)).filter(({ status }) => status !== 'valid' && status !== 'pending');
  const seen = failed.map(({ name, challenges }) => `${name}: ${challenges.map(({ error }) => detailOf(error)).find((text) => text !== '') ?? 'the CA gives no detail'}`);
  if (seen.length > 0) {
    return new FairleadError({
      class: 'dependency',
      code: 'validation_failed',
      message: `The CA could not validate ${seen.length === 1 ? 'a name' : `${seen.length} names`}. ${seen.slice(0, 5).join('. ')}`,
      hint: 'http-01: port 80 of the name has to lead to this host from outside. dns-01: the TXT record has to be at every name server before the hook ends.',
    });
  }
  return new FairleadError({ class: 'dependency', code: 'order_invalid', message: `The CA has made the order invalid${detailOf(order.error) === '' ? '' : `: ${detailOf(order.error)}`}.`, hint: 'The next try begins with a new order.' });
}

const asRecord = (data: unknown): Record<string, unknown> => (typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {});
