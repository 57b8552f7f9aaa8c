import type { AttemptResult } from '../domain/webhook/attempt.ts';
import type { WebhookTarget } from './webhook-store.ts';

/** Makes one attempt. Never throws: what went wrong is its result. */
export interface WebhookSender {
  /**
   * @param delivery its id, the same in every attempt @param body as it is signed
   * @returns `answer`: what the receiver said, or why nobody did, bounded and without what looks like a secret
   */
  send(target: WebhookTarget, delivery: string, body: string, cancel: AbortSignal): Promise<{ readonly result: AttemptResult; readonly answer: string }>;
}
