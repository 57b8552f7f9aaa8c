import { readRetryAfter } from '../../../domain/certificate/backoff.ts';
import { FairleadError, type FailureClass } from '../../../domain/failure.ts';
import type { AcmeResponse } from './transport.ts';

const namespace = 'urn:ietf:params:acme:error:';

/** A refusal of the CA with its own type, for those few that are answered by something else than giving up. */
export class AcmeProblem extends FairleadError {
  readonly status: number;
  /** Without the namespace: `badNonce`; empty where the CA named none. */
  readonly type: string;

  constructor(reason: FairleadError['reason'], options: { retryable: boolean; status: number; type: string }) {
    super(reason, options);
    this.name = 'AcmeProblem';
    this.status = options.status;
    this.type = options.type;
  }
}

/** RFC 8555, 6.7, and what each type means here. Types that are not listed are the CA's own refusal. */
const known: Readonly<Record<string, { class: FailureClass; code: string; hint: string }>> = {
  rateLimited: { class: 'dependency', code: 'ca_rate_limited', hint: 'It is tried again when the CA allows it; the certificate in use stays.' },
  serverInternal: { class: 'dependency', code: 'ca_unavailable', hint: 'It is tried again; the certificate in use stays.' },
  externalAccountRequired: { class: 'request', code: 'external_account_required', hint: "Give the issuer the CA's key identifier and MAC key (externalAccountBinding)." },
  rejectedIdentifier: { class: 'request', code: 'names_rejected', hint: 'The CA does not certify one of the names: look at its policy.' },
  unsupportedIdentifier: { class: 'request', code: 'names_rejected', hint: 'The CA does not certify names of this kind.' },
  caa: { class: 'request', code: 'caa_forbids', hint: 'A CAA record of the domain forbids this CA (RFC 8659): change the record or the issuer.' },
  invalidProfile: { class: 'request', code: 'profile_unknown', hint: "Choose one of the profiles in the directory's meta.profiles." },
  userActionRequired: { class: 'request', code: 'ca_terms_changed', hint: "Read the CA's terms at the address that it names, and agree to them." },
  invalidContact: { class: 'request', code: 'contact_invalid', hint: 'Give contacts as mailto: addresses.' },
  unsupportedContact: { class: 'request', code: 'contact_invalid', hint: 'Give contacts as mailto: addresses.' },
  badNonce: { class: 'dependency', code: 'ca_nonces_rejected', hint: 'Is something between host and CA that answers from a cache? It is tried again.' },
};

/** What an answer of status 400 or above means. @param now milliseconds since the epoch */
export function problemOf(response: AcmeResponse, doing: string, now: number): AcmeProblem {
  const body = typeof response.data === 'object' && response.data !== null ? (response.data as Record<string, unknown>) : {};
  const fullType = typeof body['type'] === 'string' ? body['type'] : '';
  const type = fullType.startsWith(namespace) ? fullType.slice(namespace.length) : '';
  const isBusy = response.status === 429 || (response.status === 503 && type === '');
  const meaning = known[type] ?? (response.status === 429 ? known['rateLimited'] : response.status >= 500 ? known['serverInternal'] : undefined);
  const wait = readRetryAfter(response.headers['retry-after'], now);
  const isUnavailable = meaning?.code === 'ca_unavailable';
  return new AcmeProblem(
    {
      class: meaning?.class ?? 'dependency',
      code: meaning?.code ?? 'ca_refused',
      message: `${doing}: the CA answered ${response.status}${type === '' ? '' : ` ${type}`}${detailOf(body) === '' ? '' : `: ${detailOf(body)}`}`,
      hint: meaning?.hint ?? "What the CA says names the cause; the certificate in use stays.",
      ...(wait === null || !(isBusy || isUnavailable || type === 'rateLimited') ? {} : { retryAt: new Date(now + wait).toISOString() }),
    },
    // A CA that says when to come back, or that counts, is not asked again within seconds.
    { retryable: isUnavailable && wait === null, status: response.status, type },
  );
}

/** The CA's own words, with those of its subproblems, cut to what a report can hold. */
export function detailOf(problem: unknown): string {
  const body = typeof problem === 'object' && problem !== null ? (problem as { detail?: unknown; subproblems?: unknown }) : {};
  const own = typeof body.detail === 'string' ? body.detail : '';
  const parts = Array.isArray(body.subproblems) ? body.subproblems.slice(0, 5).map((part) => detailOf(part)) : [];
  return [own, ...parts].filter((text) => text !== '').join('; ').replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 500);
}
