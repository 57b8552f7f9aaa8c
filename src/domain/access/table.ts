import type { KeyRole } from './role.ts';

/**
 * What a route is about: by it the scope of a key is held against the request.
 * - `nothing`: no product and no host. `everything`: only for keys without a scope. `filtered`: a list, of which a key sees what is in its scope; the route sees to that.
 * - `target`: the host and the product that the query or the body names, and the further hosts of the body. `host`: the host in the path, if it has a product of the scope. `whole-host`: every product of that host.
 * - `run`: the host and the product of the run in the path. `rollout`: the product of the rollout in the path. `rollout-hosts`: and every host that it may change.
 * - `rollout-target`: the product and the hosts that the body names. `release`: the product in the path. `artifact`: the product that the digest belongs to. `bundle`: the product in the upload; the route sees to that.
 */
export type RouteSubject = 'nothing' | 'everything' | 'filtered' | 'target' | 'host' | 'whole-host' | 'run' | 'rollout' | 'rollout-hosts' | 'rollout-target' | 'release' | 'artifact' | 'bundle';

export interface RouteAccess {
  readonly roles: 'public' | readonly KeyRole[];
  readonly subject: RouteSubject;
}

const open = (): RouteAccess => ({ roles: 'public', subject: 'nothing' });
const look = (subject: RouteSubject): RouteAccess => ({ roles: ['viewer', 'operator', 'approver', 'admin'], subject });
const operate = (subject: RouteSubject): RouteAccess => ({ roles: ['operator', 'admin'], subject });
const approve = (subject: RouteSubject): RouteAccess => ({ roles: ['approver', 'admin'], subject });
const administer = (subject: RouteSubject): RouteAccess => ({ roles: ['admin'], subject });
const speak = (): RouteAccess => ({ roles: ['agent'], subject: 'nothing' });

/** Who may use what. A route that stands neither here nor says so itself (`config.access`) ends the start of the API. */
export const routeTable: Readonly<Record<string, RouteAccess>> = {
  'GET /health': open(),
  'GET /health/live': open(),
  'GET /health/ready': open(),
  'GET /health/detailed': look('nothing'),
  'GET /metrics': look('nothing'),
  'GET /api/openapi.json': open(),

  'GET /api/hosts': look('filtered'),
  'GET /api/hosts/:id': look('host'),
  'GET /api/hosts/:id/sessions': look('host'),
  'PUT /api/hosts/:id/maintenance': operate('whole-host'),
  'DELETE /api/hosts/:id/maintenance': operate('whole-host'),
  // Labels are what scopes select hosts by, and an accepted identity is a host's: whoever sets these sets what others may do.
  'PUT /api/hosts/:id/labels': administer('everything'),
  'POST /api/hosts/:id/accept': administer('everything'),
  'GET /api/enrolments': administer('everything'),
  'POST /api/enrolments': administer('everything'),
  'POST /api/enrolments/exchange': open(),
  'POST /api/hosts/:id/hello': speak(),
  'GET /api/fleet': speak(),

  'GET /api/releases': look('filtered'),
  'GET /api/releases/:product/:releaseId': look('release'),
  'POST /api/releases': operate('bundle'),
  // Whatever hosts follow the channel get it: of the whole fleet, and by themselves.
  'PUT /api/releases/:product/:releaseId/channel': operate('everything'),
  'GET /api/artifacts/:sha256': { roles: ['operator', 'admin', 'agent'], subject: 'artifact' },

  'POST /api/updates/check': look('target'),
  'GET /api/updates/policies': look('filtered'),
  // A policy changes hosts later, when nobody is there to see it.
  'PUT /api/updates/policies': administer('everything'),
  'DELETE /api/updates/policies': administer('everything'),
  'GET /api/updates/status': look('target'),
  'POST /api/updates/plan': look('target'),
  'GET /api/updates/history': look('filtered'),
  'POST /api/updates/download': operate('target'),
  'DELETE /api/updates/download': operate('target'),
  'POST /api/updates/apply': operate('target'),
  'POST /api/updates/rollback': operate('target'),
  'POST /api/promotions/plan': look('target'),
  'POST /api/promotions': operate('target'),
  'GET /api/certificates': look('filtered'),
  // An issuer names files of the host and, for DNS, a command that its agent runs.
  'POST /api/certificates/issue': administer('target'),
  'POST /api/certificates/renew': operate('target'),
  'GET /api/services/status': look('target'),
  'POST /api/services/restart': operate('target'),
  'POST /api/services/reload': operate('target'),
  'POST /api/services/add-instance': operate('target'),
  'POST /api/services/remove-instance': operate('target'),

  'GET /api/runs': look('filtered'),
  'GET /api/runs/:id': look('run'),
  'GET /api/runs/:id/events': look('run'),
  'POST /api/runs/:id/cancel': operate('run'),

  'POST /api/rollouts/plan': look('rollout-target'),
  'POST /api/rollouts': operate('rollout-target'),
  'GET /api/rollouts': look('filtered'),
  'GET /api/rollouts/:id': look('rollout'),
  'GET /api/rollouts/:id/hosts': look('rollout'),
  'GET /api/rollouts/:id/events': look('rollout'),
  'POST /api/rollouts/:id/pause': operate('rollout-hosts'),
  'POST /api/rollouts/:id/resume': operate('rollout-hosts'),
  'POST /api/rollouts/:id/retry': operate('rollout-hosts'),
  'POST /api/rollouts/:id/promote': operate('rollout-hosts'),
  'POST /api/rollouts/:id/abort': operate('rollout-hosts'),
  'POST /api/rollouts/:id/approve': approve('rollout-hosts'),
  'POST /api/rollouts/:id/reject': approve('rollout-hosts'),
  'GET /api/freezes': look('filtered'),
  // A freeze holds operators back: they neither set nor lift it.
  'POST /api/freezes': administer('everything'),
  'DELETE /api/freezes/:id': administer('everything'),

  'GET /api/audit': look('everything'),
  'POST /api/audit/verify': look('everything'),
  'GET /api/audit/checkpoints': look('everything'),
  'GET /api/audit/export': look('everything'),
  'GET /api/keys': administer('everything'),
  'POST /api/keys': administer('everything'),
  'POST /api/keys/:id/rotate': administer('everything'),
  'DELETE /api/keys/:id': administer('everything'),
  // Payloads are about every product and host. The browser asks beforehand, without a key, whether its page may ask.
  'POST /api/codec/decode': look('everything'),
  'POST /api/codec/encode': look('everything'),
  'OPTIONS /api/codec/decode': open(),
  'OPTIONS /api/codec/encode': open(),
  'GET /api/settings': administer('everything'),
  'GET /api/settings/:name': administer('everything'),
  'PUT /api/settings/:name': administer('everything'),
  'DELETE /api/settings/:name': administer('everything'),
  'POST /api/settings/rotate': administer('everything'),
  'GET /api/webhooks': administer('everything'),
  'POST /api/webhooks': administer('everything'),
  'GET /api/webhooks/:id': administer('everything'),
  'DELETE /api/webhooks/:id': administer('everything'),
  'POST /api/webhooks/:id/test': administer('everything'),
  'GET /api/webhooks/:id/deliveries': administer('everything'),
};

/** A path's own HEAD is allowed to whoever may GET it. */
export const accessOf = (method: string, path: string): RouteAccess | null => (Object.hasOwn(routeTable, `${method === 'HEAD' ? 'GET' : method} ${path}`) ? (routeTable[`${method === 'HEAD' ? 'GET' : method} ${path}`] ?? null) : null);
