import type { Answer, Fault, Seen } from './fault-proxy.ts';

export const isNewOrder = ({ method, path }: Seen): boolean => method === 'POST' && path.startsWith('/order-plz');
export const isFinalize = ({ method, path }: Seen): boolean => method === 'POST' && path.startsWith('/finalize-order/');
const isOrder = ({ path }: Seen): boolean => path.startsWith('/my-order/');
const isCertificate = ({ path }: Seen): boolean => path.startsWith('/certZ/');
const isRenewalInfo = ({ path }: Seen): boolean => path.includes('/renewalInfo/');

type Body = Record<string, unknown>;
/** Another JSON in place of the CA's own; what is not JSON is left. */
const edited = (change: (body: Body) => Body) => (answer: Answer): Answer => {
  try {
    return { ...answer, body: JSON.stringify(change(JSON.parse(answer.body) as Body)) };
  } catch {
    return answer;
  }
};
const day = 86_400_000;

/** A CA at fault for a while: the try fails, and the next one begins when it is healed. */
export interface CaFault {
  readonly name: string;
  /** Of the reason for which the try failed. */
  readonly code: string;
  /** @param current the certificate in use, PEM */
  readonly faults: (current: string) => readonly Fault[];
  /** How many orders the CA has taken when the run has ended well. */
  readonly orders: number;
  /** Where the CA's resolver says that the first name is. */
  readonly address?: string;
  /** How long it asks to be left alone. */
  readonly waitsMs?: number;
}

export const caFaults: readonly CaFault[] = [
  {
    name: "the host's clock is 40 days ahead of its own",
    code: 'clock_wrong',
    orders: 1,
    faults: () => [{ on: () => true, change: (answer) => ({ ...answer, headers: { ...answer.headers, date: new Date(Date.now() - 40 * day).toUTCString() } }) }],
  },
  {
    name: 'it is asked too often, and says for how long',
    code: 'ca_rate_limited',
    orders: 1,
    waitsMs: 7_200_000,
    faults: () => [{ on: isNewOrder, answer: () => ({ status: 429, headers: { 'content-type': 'application/problem+json', 'retry-after': '7200' }, body: '{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}' }) }],
  },
  {
    name: 'its certificate has no chain',
    code: 'certificate_chain_incomplete',
    orders: 2,
    faults: () => [{ on: isCertificate, change: (answer) => ({ ...answer, body: `${answer.body.split('-----END CERTIFICATE-----')[0]}-----END CERTIFICATE-----\n` }) }],
  },
  { name: 'its certificate is for another key', code: 'certificate_key_mismatch', orders: 2, faults: (current) => [{ on: isCertificate, change: (answer) => ({ ...answer, body: current }) }] },
  { name: 'it is led elsewhere by the name', code: 'validation_failed', orders: 2, address: '127.0.0.9', faults: () => [] },
];

/** An order that was finalized stays in `processing`. */
export const staysProcessing: Fault = { on: (seen) => isFinalize(seen) || isOrder(seen), change: edited((body) => ({ ...body, status: body['status'] === 'valid' ? 'processing' : body['status'] })) };

const refusal = (status: number, type: string) => (): Answer => ({ status, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: `injected ${type}` }) });
/** What its client gets over within the same try: nine of ten nonces are rejected, and what the order would replace was replaced already. */
export const passingFaults = (): readonly Fault[] => {
  let posts = 0;
  return [
    { on: ({ method }) => method === 'POST' && (posts += 1) % 10 !== 0, answer: refusal(400, 'badNonce') },
    { on: (seen) => isNewOrder(seen) && seen.payload?.['replaces'] !== undefined, times: 1, answer: refusal(409, 'alreadyReplaced') },
  ];
};

const information = (body: string): Fault => ({ on: isRenewalInfo, answer: () => ({ status: 200, headers: { 'content-type': 'application/json', 'retry-after': '315360000' }, body }) });
const window = (start: string, end: string): Fault => information(JSON.stringify({ suggestedWindow: { start, end } }));
/** Renewal information that cannot be followed: no JSON, another document, no times, far away, inverted, in the past, an error, no answer. */
export const renewalInformationFaults: readonly Fault[] = [
  information('{"suggestedWindow":'),
  information('[]'),
  window('now', 'later'),
  window('2140-01-01T00:00:00Z', '2140-01-02T00:00:00Z'),
  window('2026-02-02T00:00:00Z', '2026-01-01T00:00:00Z'),
  window('2001-01-01T00:00:00Z', '2001-01-02T00:00:00Z'),
  { on: isRenewalInfo, answer: () => ({ status: 404, headers: {}, body: '' }) },
  { on: isRenewalInfo, answer: () => null },
];
