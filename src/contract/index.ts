export * from './audit.ts';
export * from './certificates.ts';
export * from './codec.ts';
export * from './fleet-messages.ts';
export * from './fleet.ts';
export * from './health.ts';
export * from './hosts.ts';
export * from './identifiers.ts';
export * from './keys.ts';
export * from './policies.ts';
export * from './problem.ts';
export * from './promotions.ts';
export * from './releases.ts';
export * from './rollouts.ts';
export * from './runs.ts';
export * from './services.ts';
export * from './settings.ts';
export * from './updates.ts';
export * from './webhooks.ts';

/** Request header of every mutation: the same key with the same request gets the same answer and changes nothing twice. */
export const idempotencyHeader = 'idempotency-key';

/** Request header of every mutation: why, percent-encoded UTF-8; for requests whose body does not say it. */
export const reasonHeader = 'fairlead-reason';
