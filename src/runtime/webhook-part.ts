import type { Logger } from '../adapters/logger.ts';
import type { AuditRow } from '../domain/audit/chain.ts';
import { messagesOf } from '../domain/failure.ts';
import type { RolloutId, RunId } from '../domain/ids.ts';
import { afterAttempt, type AttemptResult } from '../domain/webhook/attempt.ts';
import { hostsAway } from '../domain/webhook/away.ts';
import { webhooksFor, type WebhookChoice } from '../domain/webhook/choice.ts';
import { isTold, messageOf, type MessageContext, type WebhookMessage } from '../domain/webhook/message.ts';
import type { AuditLog, RunStore } from '../ports/control-stores.ts';
import type { FleetStateStore } from '../ports/fleet-stores.ts';
import type { RolloutStore } from '../ports/rollout-store.ts';
import type { WebhookSender } from '../ports/webhook-sender.ts';
import type { WebhookDelivery, WebhookStore } from '../ports/webhook-store.ts';
import type { Part } from './bootstrap.ts';

const lookMs = 2_000;
const rowsAtOnce = 500;
/** Attempts under way in one process. */
const atOnce = 8;
/** Longer than an attempt may take, so that nobody else makes it meanwhile. */
const leaseMs = 60_000;
const keptMs = 7 * 24 * 3_600_000;
const slowLookMs = 60_000;

export interface WebhookDependencies {
  readonly webhooks: WebhookStore;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly runs: Pick<RunStore, 'find'>;
  readonly rollouts: Pick<RolloutStore, 'find'>;
  readonly fleet: Pick<FleetStateStore, 'list'>;
  readonly sender: WebhookSender;
  /** Where people reach the API; without a slash at its end. */
  readonly apiUrl: string;
  readonly now: () => Date;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Tells webhooks what the audit says, for as long as the process runs. What is under way when it stops is cut off, and made again by whoever runs next. */
export function webhookPart(dependencies: WebhookDependencies): Part {
  return {
    name: 'webhooks',
    start: async () => {
      const stopping = new AbortController();
      const deliveries = createDeliveries(dependencies, stopping.signal);
      let told = '';
      let looking: Promise<void> | null = null;
      const look = async (): Promise<void> => {
        try {
          await deliveries.look();
          told = '';
        } catch (error) {
          // Once for each reason: it stays until the database is back.
          const why = messagesOf(error).join(': ');
          if (why !== told) dependencies.logger.warn({ err: error }, 'webhooks could not be looked after');
          told = why;
        } finally {
          looking = null;
        }
      };
      const timer = setInterval(() => void (looking ??= look()), lookMs);
      return async () => {
        clearInterval(timer);
        stopping.abort();
        await looking;
        await deliveries.settled();
      };
    },
  };
}

/** One look: what has happened becomes deliveries, and those that are due are begun. `settled` waits for the attempts under way. */
export function createDeliveries({ webhooks, audit, runs, rollouts, fleet, sender, apiUrl, now, logger }: WebhookDependencies, cancel: AbortSignal) {
  const underWay = new Map<string, Promise<void>>();
  const toldAway = new Map<string, string>();
  let slowLookAt = 0;
  let claiming: Promise<void> = Promise.resolve();

  return {
    async look(): Promise<void> {
      await slowLook();
      while ((await webhooks.fill(rowsAtOnce, choose)) === rowsAtOnce) if (cancel.aborted) return;
      await beginDue();
    },
    async settled(): Promise<void> {
      do {
        await Promise.all(underWay.values());
        await claiming.catch(() => undefined);
      } while (underWay.size > 0);
    },
  };

  /** One claim at a time: two at once would both find the same places free. */
  function beginDue(): Promise<void> {
    claiming = claiming
      .catch(() => undefined)
      .then(async () => {
        const free = atOnce - underWay.size;
        if (free === 0 || cancel.aborted) return;
        const due = await webhooks.claim(now(), { limit: free, leaseMs, busy: [...underWay.keys()] });
        for (const delivery of due) begin(delivery);
      });
    return claiming;
  }

  /** What need not be looked at every second. */
  async function slowLook(): Promise<void> {
    const at = now();
    if (at.getTime() - slowLookAt < slowLookMs) return;
    slowLookAt = at.getTime();
    for (const { host, since, why } of hostsAway(await fleet.list(), at.getTime())) {
      if (toldAway.get(host) === since) continue;
      await audit.append({ at: at.toISOString(), event: 'host.away', actor: 'fairlead', subject: `host/${host}`, runId: null, detail: { since, why } }, `host.away:${host}:${since}`);
      toldAway.set(host, since);
    }
    await webhooks.forget(new Date(at.getTime() - keptMs));
  }

  async function choose(rows: readonly AuditRow[], all: readonly WebhookChoice[]): Promise<{ webhookId: string; message: WebhookMessage }[]> {
    const made: { webhookId: string; message: WebhookMessage }[] = [];
    for (const row of rows.filter(isTold)) {
      const message = messageOf(row, await contextOf(row), apiUrl);
      if (message !== null) made.push(...webhooksFor(message, all).map(({ id }) => ({ webhookId: id, message })));
    }
    return made;
  }

  async function contextOf({ event, runId }: AuditRow): Promise<MessageContext> {
    if (runId === null) return { run: null, rollout: null };
    if (event.startsWith('rollout.')) return { run: null, rollout: await rollouts.find(runId as RolloutId) };
    return { run: event.startsWith('run.') ? await runs.find(runId as RunId) : null, rollout: null };
  }

  function begin(delivery: WebhookDelivery): void {
    const attempt = deliver(delivery)
      // The lease ends, and it is made again.
      .catch((error: unknown) => logger.warn({ err: error, webhook: delivery.webhookId, delivery: delivery.id }, 'what came of a delivery could not be noted'))
      .then(() => {
        underWay.delete(delivery.webhookId);
        // The next one for it need not wait for the next look, which also comes where this fails.
        beginDue().catch(() => undefined);
      });
    underWay.set(delivery.webhookId, attempt);
  }

  async function deliver(delivery: WebhookDelivery): Promise<void> {
    const { id, webhookId, message } = delivery;
    const { result, answer } = await attempt(delivery);
    // Cut off by the end of the process: nothing is known of it.
    if (cancel.aborted && result.kind !== 'answered') return webhooks.conclude(id, { next: 'again', at: now().toISOString() }, 'cut off by the end of control', now());
    const verdict = afterAttempt(result, delivery, now().getTime());
    if (verdict.next === 'given_up') {
      // Said before it is so: a process that dies in between says it again under the same key.
      const detail = { delivery: id, about: message.event, auditSequence: message.auditSequence, attempts: delivery.attempts, why: verdict.why };
      await audit.append({ at: now().toISOString(), event: verdict.disable ? 'webhook.disabled' : 'webhook.given_up', actor: 'fairlead', subject: `webhook/${webhookId}`, runId: null, detail }, `webhook.given_up:${id}`);
      logger.error({ webhook: webhookId, delivery: id, event: message.event, attempts: delivery.attempts, answer }, verdict.disable ? 'a webhook wants nothing more and is disabled' : 'a delivery to a webhook was given up');
    }
    await webhooks.conclude(id, verdict, answer, now());
    if (verdict.next === 'given_up' && verdict.disable) await webhooks.disable(webhookId, verdict.why);
  }

  async function attempt({ id, webhookId, message }: WebhookDelivery): Promise<{ readonly result: AttemptResult; readonly answer: string }> {
    try {
      const target = await webhooks.target(webhookId);
      if (target !== null) return await sender.send(target, id, JSON.stringify({ ...message, delivery: id }), cancel);
      return { result: { kind: 'refused', why: 'the webhook was removed' }, answer: 'the webhook was removed' };
    } catch (error) {
      // It does not open: whoever puts the key back has it delivered.
      const why = messagesOf(error)[0] ?? 'the webhook cannot be opened';
      return { result: { kind: 'failed', why }, answer: why };
    }
  }
}
