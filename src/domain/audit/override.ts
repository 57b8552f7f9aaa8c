import { FairleadError } from '../failure.ts';

/** What a request asks for, as far as it matters here. */
type Asked = Readonly<Record<string, unknown>>;

/**
 * The requests that go over what Fairlead would do by itself, or over what somebody else decided: whoever makes one has to say why. Each gives what is overridden, or null where this one overrides
 * nothing.
 */
const overrides: Readonly<Record<string, (asked: Asked) => string | null>> = {
  'POST /api/updates/apply': (asked) => (asked['allowFailed'] === true ? 'a release that failed on the host is tried again' : null),
  'POST /api/rollouts': (asked) => (asked['allowFailed'] === true ? 'a release that failed on hosts is tried again' : null),
  'POST /api/certificates/issue': (asked) => (asked['force'] === true ? 'a certificate is replaced although it is not due' : null),
  'POST /api/certificates/renew': (asked) => (asked['force'] === true ? 'a certificate is renewed although it is not due' : null),
  'POST /api/rollouts/:id/resume': () => 'a rollout goes on past what held it',
  'POST /api/rollouts/:id/promote': () => 'a bake time is cut short, or gates are opened',
  'POST /api/hosts/:id/accept': () => 'one of several agents is taken for the host',
  'POST /api/freezes': () => 'rollouts are held',
  'DELETE /api/freezes/:id': () => 'what held rollouts is lifted',
  'POST /api/runs/:id/cancel': () => 'a run is undone before its end',
};

/** Every route on which an override can be asked for, as `METHOD /path/:id`. */
export const overrideRoutes: readonly string[] = Object.keys(overrides);

/**
 * Refuses an override without a reason.
 * @param route `METHOD /path/:id`
 * @param asked the body, or what stands for it
 * @throws FairleadError `reason_required`
 */
export function demandReason(route: string, asked: Asked, reason: string | null): void {
  const what = Object.hasOwn(overrides, route) ? (overrides[route]?.(asked) ?? null) : null;
  if (what === null || (reason !== null && reason.trim() !== '')) return;
  throw new FairleadError({
    class: 'request',
    code: 'reason_required',
    message: `This needs a reason, because ${what}; it goes into the audit.`,
    hint: 'Say why: --reason TEXT, or as `reason` in the body, or percent-encoded in the header Fairlead-Reason.',
  });
}
