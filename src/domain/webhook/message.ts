import type { AuditRow } from '../audit/chain.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId } from '../ids.ts';
import type { RunKind } from '../run/kind.ts';
import { hideSecrets } from '../secret-text.ts';
import { testEvent, type WebhookEvent } from './event.ts';

/** What is sent: enough to know whom to wake and what to type, and nothing that the channel it ends up in should not show. */
export interface WebhookMessage {
  readonly schema: 1;
  readonly event: WebhookEvent | typeof testEvent;
  /** When it happened; ISO 8601. */
  readonly at: string;
  /** The row of the audit that says so; null for a test. */
  readonly auditSequence: number | null;
  readonly product: ProductName | null;
  readonly host: HostId | null;
  readonly releaseId: ReleaseId | null;
  readonly runId: RunId | null;
  readonly rolloutId: RolloutId | null;
  readonly outcome: string | null;
  readonly reason: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
  /** One sentence for people. */
  readonly summary: string;
  /** Where it is told in full, in the API. */
  readonly link: string | null;
  /** What to type next. */
  readonly next: string | null;
}

/** What a row of the audit does not say of the run or the rollout that it names; null where that is not known. */
export interface MessageContext {
  readonly run: { readonly kind: RunKind; readonly host: HostId; readonly product: ProductName; readonly toReleaseId: ReleaseId } | null;
  readonly rollout: { readonly rolloutId: RolloutId; readonly product: ProductName; readonly releaseId: ReleaseId } | null;
}

/** Whether a row can become a message at all, before anything is asked about it. */
export const isTold = ({ event }: Pick<AuditRow, 'event'>): boolean => Object.hasOwn(readers, event);

/**
 * What is told of a row of the audit; null for what nobody is told of. Pure.
 * @param apiUrl where people reach the API, without a slash at its end
 */
export function messageOf(row: AuditRow, context: MessageContext, apiUrl: string): WebhookMessage | null {
  const read = Object.hasOwn(readers, row.event) ? readers[row.event] : undefined;
  const told = read?.(row, context) ?? null;
  if (told === null) return null;
  const { path = null, ...message } = told;
  return bounded({ schema: 1, at: row.at, auditSequence: row.sequence, product: null, host: null, releaseId: null, runId: null, rolloutId: null, outcome: null, reason: null, next: null, ...message, link: path === null ? null : `${apiUrl}${path}` });
}

export const testMessage = (at: string, by: string): WebhookMessage =>
  bounded({ schema: 1, event: testEvent, at, auditSequence: null, product: null, host: null, releaseId: null, runId: null, rolloutId: null, outcome: null, reason: null, summary: `A test, asked for by ${by}.`, link: null, next: null });

type Told = Pick<WebhookMessage, 'event' | 'summary'> & Partial<WebhookMessage> & { readonly path?: string };
type Detail = Readonly<Record<string, unknown>>;

const readers: Readonly<Record<string, (row: AuditRow, context: MessageContext) => Told | null>> = {
  'run.ended': (row, { run }) => {
    const outcome = textOf(row.detail, 'outcome');
    const event = runEvent(outcome, run?.kind ?? null);
    if (event === null || row.runId === null) return null;
    const { host, product } = run ?? placeOf(row.subject);
    const what = run?.kind === 'cert-renewal' ? 'The run about the certificate' : 'A run';
    const told = { event, host, product, releaseId: (textOf(row.detail, 'toReleaseId') as ReleaseId | null) ?? run?.toReleaseId ?? null, runId: row.runId as RunId, outcome, reason: reasonOf(row.detail) };
    return { ...told, summary: `${what} of ${product} on ${host} ended ${outcome?.replaceAll('_', ' ')}.`, path: `/api/runs/${row.runId}`, next: `fairlead runs show ${row.runId}` };
  },
  'run.recovered': (row, { run }) => {
    const { host, product } = run ?? placeOf(row.subject);
    return { event: 'run.recovered', host, product, runId: row.runId as RunId | null, summary: `${product} on ${host} was brought back by hand.`, path: `/api/runs/${row.runId}`, next: `fairlead runs show ${row.runId}` };
  },
  'rollout.ended': (row, { rollout }) => {
    const outcome = textOf(row.detail, 'outcome');
    return { ...ofRollout(rollout, row), event: row.detail['ok'] === true ? 'rollout.succeeded' : 'rollout.failed', outcome, reason: reasonOf(row.detail), summary: `The rollout of ${rollout?.product ?? 'a product'} ${rollout?.releaseId ?? ''} ended ${outcome?.replaceAll('_', ' ')}.` };
  },
  'rollout.halted': (row, { rollout }) => held(row, rollout, 'rollout.halted', 'a decision'),
  'rollout.paused': (row, { rollout }) => held(row, rollout, 'rollout.paused', 'a person'),
  'rollout.approval_needed': (row, { rollout }) => {
    const { detail } = row;
    const gate = textOf(detail, 'gate') ?? '';
    const until = textOf(detail, 'until');
    const about = ofRollout(rollout, row);
    const summary = `The rollout of ${rollout?.product ?? 'a product'} ${rollout?.releaseId ?? ''} waits before wave ${detail['wave']} for gate ${gate}: ${detail['approvals']} of ${detail['quorum']} approvals by somebody with the role ${textOf(detail, 'role')}${until === null ? '' : `, until ${until}`}.`;
    return { ...about, event: 'rollout.approval_needed', summary, next: `fairlead rollout approve ${gate} ${about.rolloutId}` };
  },
  'certificate.expiring': (row) => expiry(row, 'certificate.expiring'),
  'certificate.expired': (row) => expiry(row, 'certificate.expired'),
  'release.published': ({ subject, detail }) => {
    const [, product = '', releaseId = ''] = subject.split('/');
    return { event: 'release.published', product: product as ProductName, releaseId: releaseId as ReleaseId, summary: `${product} ${releaseId} was published for role ${textOf(detail, 'role')}.`, path: `/api/releases/${product}/${releaseId}`, next: `fairlead release show ${product} ${releaseId}` };
  },
  'release.available': ({ subject, detail }) => {
    const place = placeOf(subject);
    const releaseId = textOf(detail, 'releaseId') as ReleaseId | null;
    return { event: 'release.available', ...place, releaseId, summary: `${place.product} ${releaseId} is there for ${place.host}.`, next: `fairlead update plan ${releaseId} --host ${place.host} --product ${place.product}` };
  },
  'host.drift_found': ({ subject, detail }) => {
    const place = placeOf(subject);
    return { event: 'host.drift_found', ...place, outcome: textOf(detail, 'kind'), summary: `${place.host} is not as ${place.product} wants it: ${textOf(detail, 'kind')} of ${textOf(detail, 'subject')}.`, path: `/api/hosts/${place.host}`, next: `fairlead nodes show ${place.host}` };
  },
  'host.away': ({ subject, detail }) => {
    const host = subject.split('/')[1] as HostId;
    return { event: 'host.away', host, summary: `${host} has not been heard since ${textOf(detail, 'since')}.`, reason: reasonOf(detail), path: `/api/hosts/${host}`, next: `fairlead nodes show ${host}` };
  },
};

function runEvent(outcome: string | null, kind: RunKind | null): WebhookEvent | null {
  if (outcome === 'stranded') return 'run.stranded';
  if (kind === 'cert-renewal') return outcome === 'succeeded' ? 'certificate.renewed' : outcome === 'unchanged' ? null : 'certificate.renewal_failed';
  if (outcome === 'unchanged') return 'run.succeeded';
  return outcome === 'succeeded' || outcome === 'rolled_back' || outcome === 'refused' || outcome === 'cancelled' ? `run.${outcome}` : null;
}

function ofRollout(rollout: MessageContext['rollout'], { subject }: AuditRow): Partial<Told> {
  const rolloutId = rollout?.rolloutId ?? (subject.split('/')[1] as RolloutId);
  return { rolloutId, product: rollout?.product ?? null, releaseId: rollout?.releaseId ?? null, path: `/api/rollouts/${rolloutId}`, next: `fairlead rollout why ${rolloutId}` };
}

function held(row: AuditRow, rollout: MessageContext['rollout'], event: 'rollout.halted' | 'rollout.paused', otherwise: string): Told {
  const waiting = (row.detail['waiting'] ?? {}) as Detail;
  return { ...ofRollout(rollout, row), event, summary: `The rollout of ${rollout?.product ?? 'a product'} ${rollout?.releaseId ?? ''} waits for ${textOf(waiting, 'for') ?? otherwise}.` };
}

function expiry({ subject, detail }: AuditRow, event: 'certificate.expiring' | 'certificate.expired'): Told {
  const place = placeOf(subject);
  const names = Array.isArray(detail['names']) ? detail['names'].slice(0, 3).join(', ') : '';
  return { event, ...place, summary: `The certificate of ${place.product} on ${place.host} (${names}) ${event === 'certificate.expired' ? 'ended' : 'ends'} at ${textOf(detail, 'notAfter')}.`, next: `fairlead cert status --host ${place.host}` };
}

/** `host/h1/lab`, `certificate/h1/lab`, `restart/h1/lab/api`. */
function placeOf(subject: string): { readonly host: HostId | null; readonly product: ProductName | null } {
  const [, host, product] = subject.split('/');
  return { host: (host as HostId | undefined) ?? null, product: (product as ProductName | undefined) ?? null };
}

const textOf = (detail: Detail, name: string): string | null => (typeof detail[name] === 'string' ? detail[name] : null);

function reasonOf(detail: Detail): WebhookMessage['reason'] {
  const reason = detail['reason'];
  if (typeof reason !== 'object' || reason === null) return null;
  const { code, message, hint } = reason as { readonly code?: unknown; readonly message?: unknown; readonly hint?: unknown };
  return { code: String(code), message: String(message), hint: typeof hint === 'string' ? hint : null };
}

/** Longest text in it, characters. */
const longest = 1_000;
const short = (text: string): string => {
  const shown = hideSecrets(text);
  return shown.length <= longest ? shown : `${shown.slice(0, longest - 1)}…`;
};

function bounded(message: WebhookMessage): WebhookMessage {
  const { reason } = message;
  return { ...message, summary: short(message.summary), reason: reason === null ? null : { code: reason.code, message: short(reason.message), hint: reason.hint === null ? null : short(reason.hint) } };
}
