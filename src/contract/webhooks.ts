import { z } from 'zod';
import { alarmEvents, testEvent, webhookEvents } from '../domain/webhook/event.ts';
import { instant, nextAfter, nextBefore, page, pageAfter, productName } from './identifiers.ts';

const events = z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length);
const products = z.array(productName).max(100);

export const WebhookBody = z.strictObject({
  url: z.string().min(1).max(2_000).meta({ description: 'Where messages are posted to; kept sealed and never answered', examples: ['https://alerts.example.org/hooks/fairlead'] }),
  events: events.default([...alarmEvents]).meta({ description: 'What it is told of; left out: what a person should hear of at night' }),
  products: products.default([]).meta({ description: 'Only these products, and hosts as a whole; empty: all' }),
});
export type WebhookBody = z.infer<typeof WebhookBody>;

const shown = {
  id: z.string(),
  address: z.string().meta({ description: 'Its origin; the rest may be a secret', examples: ['https://alerts.example.org/****'] }),
  events,
  products,
  createdAt: instant,
  createdBy: z.string(),
  disabled: z.string().nullable().meta({ description: 'Why it is told of nothing more: it answered 410. Null while it is' }),
  waiting: z.number().int().meta({ description: 'Deliveries that are tried still' }),
  givenUp: z.number().int().meta({ description: 'Deliveries of the last seven days that did not arrive' }),
};
export const Webhook = z.object(shown).meta({ id: 'Webhook' });
export type Webhook = z.infer<typeof Webhook>;

export const WebhookCreated = z
  .object({ ...shown, secret: z.string().nullable().meta({ description: 'Messages are signed with it (Standard Webhooks, HMAC-SHA-256). Shown this once: null where a repeated request (Idempotency-Key) is answered again' }) })
  .meta({ id: 'WebhookCreated' });
export type WebhookCreated = z.infer<typeof WebhookCreated>;

export const WebhookListQuery = z.strictObject(pageAfter('id'));
export const WebhookList = z.object({ webhooks: z.array(Webhook), nextAfter }).meta({ id: 'WebhookList' });
export type WebhookList = z.infer<typeof WebhookList>;

export const WebhookParams = z.object({ id: z.string().min(1).max(64) });
export const WebhookRemoved = z.object({ id: z.string(), state: z.literal('removed') }).meta({ id: 'WebhookRemoved' });
export type WebhookRemoved = z.infer<typeof WebhookRemoved>;

export const WebhookMessage = z
  .object({
    schema: z.literal(1),
    event: z.enum([...webhookEvents, testEvent]),
    at: instant,
    auditSequence: z.number().int().nullable().meta({ description: 'The row of the audit that says so' }),
    product: z.string().nullable(),
    host: z.string().nullable(),
    releaseId: z.string().nullable(),
    runId: z.string().nullable(),
    rolloutId: z.string().nullable(),
    outcome: z.string().nullable(),
    reason: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }).nullable(),
    summary: z.string().meta({ description: 'One sentence for people' }),
    link: z.string().nullable(),
    next: z.string().nullable().meta({ description: 'What to type next' }),
  })
  .meta({ id: 'WebhookMessage', description: 'What is posted, with `delivery` beside it: the id that is the same in every attempt' });

export const WebhookDelivery = z
  .object({
    id: z.string(),
    webhookId: z.string(),
    state: z.enum(['waiting', 'delivered', 'given_up']),
    attempts: z.number().int(),
    createdAt: instant,
    nextAt: instant.nullable().meta({ description: 'When it is tried again; null where it has ended' }),
    lastAt: instant.nullable(),
    lastAnswer: z.string().nullable().meta({ description: 'What came of the last attempt, without secrets', examples: ['500 try later'] }),
    endedAt: instant.nullable(),
    message: WebhookMessage,
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

export const WebhookDeliveryQuery = z.strictObject(page('id'));
export const WebhookDeliveryList = z.object({ deliveries: z.array(WebhookDelivery), nextBefore }).meta({ id: 'WebhookDeliveryList' });
export type WebhookDeliveryList = z.infer<typeof WebhookDeliveryList>;
