import type { AttemptVerdict } from '../domain/webhook/attempt.ts';
import type { WebhookChoice } from '../domain/webhook/choice.ts';
import type { WebhookEvent } from '../domain/webhook/event.ts';
import type { WebhookMessage } from '../domain/webhook/message.ts';
import type { AuditRow } from '../domain/audit/chain.ts';
import type { ProductName } from '../domain/ids.ts';

/** A webhook as it is shown: its address and its secret are sealed. */
export interface ListedWebhook extends WebhookChoice {
  /** The origin, and `****` for the rest. */
  readonly address: string;
  readonly createdAt: string;
  readonly createdBy: string;
  /** Deliveries that are tried still, and those of the last days that were given up. */
  readonly waiting: number;
  readonly givenUp: number;
}

export interface NewWebhook {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly products: readonly ProductName[];
  readonly by: string;
}

/** What is needed to send to it. */
export interface WebhookTarget {
  readonly url: string;
  /** `whsec_` and 32 bytes in base64. */
  readonly secret: string;
}

export interface WebhookDelivery {
  readonly id: string;
  readonly webhookId: string;
  readonly message: WebhookMessage;
  /** `waiting`: for its next attempt, or in one. */
  readonly state: 'waiting' | 'delivered' | 'given_up';
  readonly attempts: number;
  readonly createdAt: string;
  /** Null where it has ended. */
  readonly nextAt: string | null;
  readonly lastAt: string | null;
  /** What came of the last attempt, in few words and without secrets. */
  readonly lastAnswer: string | null;
  readonly endedAt: string | null;
}

/**
 * Webhooks, and the deliveries to them: an outbox that is filled from the audit. Addresses and secrets are sealed with the keys of the settings; what seals or opens them fails as
 * settings do (`settings_key_missing` and so on).
 */
export interface WebhookStore {
  /** The secret is given this once. @throws FairleadError `settings_key_missing`, `settings_keys_invalid` */
  create(webhook: NewWebhook): Promise<{ readonly webhook: ListedWebhook; readonly secret: string }>;
  /** The oldest first. Needs no key. */
  list(): Promise<ListedWebhook[]>;
  find(id: string): Promise<ListedWebhook | null>;
  /** With its deliveries. Needs no key. */
  remove(id: string): Promise<'removed' | 'not_found'>;
  /** @throws FairleadError `webhook_unreadable`, `settings_key_missing`, `settings_keys_invalid` */
  target(id: string): Promise<WebhookTarget | null>;
  /** Told of nothing more from here on; what still waits is given up. Idempotent. */
  disable(id: string, why: string): Promise<void>;
  /** A delivery that no row of the audit has made. */
  enqueue(id: string, message: WebhookMessage): Promise<WebhookDelivery>;
  /** Newest first. `before` is the id of the last one of the page before. */
  deliveries(filter: { readonly webhookId: string; readonly limit: number; readonly before?: string | undefined }): Promise<WebhookDelivery[]>;

  /**
   * Goes on in the audit where the last call ended, at most `limit` rows: what `choose` makes of them becomes deliveries in the same transaction that notes how far it came, each once
   * for its webhook. Whoever else does so waits.
   * @returns how many rows were read
   */
  fill(limit: number, choose: (rows: readonly AuditRow[], webhooks: readonly WebhookChoice[]) => Promise<readonly { readonly webhookId: string; readonly message: WebhookMessage }[]>): Promise<number>;
  /**
   * Takes what is due now, at most one for each webhook and none of `busy`, first of those that were asked longest ago: it counts an attempt, and is nobody else's for `leaseMs`. A process that dies in between leaves it to whoever
   * comes after that.
   */
  claim(now: Date, options: { readonly limit: number; readonly leaseMs: number; readonly busy: readonly string[] }): Promise<WebhookDelivery[]>;
  /** What came of the attempt that was claimed. */
  conclude(id: string, verdict: AttemptVerdict, lastAnswer: string, now: Date): Promise<void>;
  /** Removes what ended before. */
  forget(before: Date): Promise<void>;
}
