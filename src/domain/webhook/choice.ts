import type { ProductName } from '../ids.ts';
import type { WebhookEvent } from './event.ts';
import type { WebhookMessage } from './message.ts';

/** What a webhook wants to be told of. */
export interface WebhookChoice {
  readonly id: string;
  readonly events: readonly WebhookEvent[];
  /** Empty: every one, and also what is about no product. */
  readonly products: readonly ProductName[];
  /** The last row of the audit when it was made: it is told of nothing that was before it. */
  readonly afterSequence: number;
  /** Why it is told of nothing more; null while it is. */
  readonly disabled: string | null;
}

/** The webhooks that want a message. What is about a whole host goes also to those that chose products: one of theirs may stand on it. Pure. */
export function webhooksFor<Choice extends WebhookChoice>(message: WebhookMessage, all: readonly Choice[]): Choice[] {
  return all.filter(
    ({ events, products, afterSequence, disabled }) =>
      disabled === null &&
      message.auditSequence !== null &&
      message.auditSequence > afterSequence &&
      events.some((event) => event === message.event) &&
      (products.length === 0 || (message.product === null ? message.event.startsWith('host.') : products.includes(message.product))),
  );
}
