/**
 * What a webhook can be told of. Each is read off a row of the audit: whatever is not written down there is told to nobody. `renewal_failed` is a run about a certificate that did not
 * succeed; every other run tells its own outcome. A run that is stranded is always that, whatever it was for.
 */
export const webhookEvents = [
  'run.succeeded',
  'run.rolled_back',
  'run.stranded',
  'run.refused',
  'run.cancelled',
  'run.recovered',
  'rollout.succeeded',
  'rollout.failed',
  'rollout.halted',
  'rollout.paused',
  'rollout.approval_needed',
  'certificate.renewed',
  'certificate.renewal_failed',
  'certificate.expiring',
  'certificate.expired',
  'release.published',
  'release.available',
  'host.drift_found',
  'host.away',
] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

/** Those after which something stands still, or soon will, until a person does something: what a webhook gets that names none. */
export const alarmEvents: readonly WebhookEvent[] = ['run.rolled_back', 'run.stranded', 'rollout.failed', 'rollout.halted', 'rollout.paused', 'rollout.approval_needed', 'certificate.renewal_failed', 'certificate.expiring', 'certificate.expired', 'host.away'];

/** What an attempt of somebody to see whether a webhook works is called; no webhook chooses it. */
export const testEvent = 'webhook.test';
