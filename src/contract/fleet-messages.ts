import { z } from 'zod';
import { HostHelloAnswer, HostHelloBody } from './hosts.ts';

/** From an agent. The first one begins the session; one more follows every 15 seconds, and whenever there is something to tell. */
export const AgentMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('hello'), id: z.number().int().min(1).meta({ description: 'Comes back with the answer' }), hello: HostHelloBody }),
]);
export type AgentMessage = z.infer<typeof AgentMessage>;

/** To an agent: the answer to its message. `refused` changes nothing; where `retryable`, the same may be told again. */
export const ControlMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('heard'), id: z.number().int(), answer: HostHelloAnswer }),
  z.object({ type: z.literal('refused'), id: z.number().int(), code: z.string(), message: z.string(), hint: z.string().nullable(), retryable: z.boolean() }),
]);
export type ControlMessage = z.infer<typeof ControlMessage>;
