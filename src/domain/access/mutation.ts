/** Asked by POST because the question is long; nothing is changed by them. */
const questions: ReadonlySet<string> = new Set(['POST /api/updates/check', 'POST /api/updates/plan', 'POST /api/promotions/plan', 'POST /api/rollouts/plan', 'POST /api/audit/verify', 'POST /api/codec/decode', 'POST /api/codec/encode']);

/** What hosts say of themselves every few seconds. What comes of it (drift, healing, recovery) has audit rows of its own, and saying it twice changes nothing. */
const speech: ReadonlySet<string> = new Set(['POST /api/hosts/:id/hello']);

/**
 * Whether a route asks for a change: then its requests leave an intent and a result in the audit, and may carry an Idempotency-Key. Every method that is not safe (RFC 9110 section 9.2.1) does,
 * but for the few that are named here.
 * @param route `POST /api/runs/:id/cancel`
 */
export function isMutation(route: string): boolean {
  return !/^(GET|HEAD|OPTIONS) /.test(route) && !questions.has(route) && !speech.has(route);
}
