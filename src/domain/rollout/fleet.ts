import { canonicalJson } from '../canonical-json.ts';
import type { HostInspection } from '../host/state.ts';
import type { HostId, ReleaseId } from '../ids.ts';
import type { Role } from '../product/manifest.ts';
import type { RolloutRequest } from './request.ts';

/** `pending`: enrolled and never seen. `error`: five failures in a row. `maintenance`: a person took it out. */
export const fleetStatuses = ['pending', 'connected', 'disconnected', 'error', 'maintenance'] as const;
export type FleetStatus = (typeof fleetStatuses)[number];

/** A host that has the product, as control knows it when a rollout is planned. */
export interface FleetHost {
  readonly host: HostId;
  readonly role: Role;
  readonly status: FleetStatus;
  /** What it said to run last; null where nothing is installed yet. */
  readonly releaseId: ReleaseId | null;
  /** Releases that a run condemned on it. */
  readonly failedReleaseIds: readonly ReleaseId[];
  /** Whether its last undo failed: it waits for a person. */
  readonly stranded: boolean;
}

/** `away` is what the offline policy is for. */
export type Standing = 'there' | 'away' | 'maintenance';
export const standingOfHost = (status: FleetStatus): Standing => (status === 'connected' ? 'there' : status === 'maintenance' ? 'maintenance' : 'away');

/** A fixed order whatever the database gives: by name, compared by code unit. */
export const byHost = <Named extends { readonly host: HostId }>(hosts: readonly Named[]): Named[] => [...hosts].sort((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0));

/**
 * One text for everything that a plan depends on and that can change between planning and starting: hosts, roles, whether they can be reached, what
 * they run and condemned. The same text gives the same plan; whoever keeps a plan keeps the hash of it and refuses to start when it differs.
 * @param fleet every host that has the product, in any order
 */
export function fleetDigestInput(fleet: readonly FleetHost[], request: Pick<RolloutRequest, 'releaseId' | 'target'>): string {
  const named = request.target.kind === 'hosts' ? new Set(request.target.hosts) : null;
  // Controllers count even where they are not named: nodes may have to wait for them.
  const relevant = byHost(fleet).filter(({ host, role }) => named === null || named.has(host) || role === 'controller');
  const lines = relevant.map(({ host, role, status, releaseId, failedReleaseIds, stranded }) => [host, role, standingOfHost(status), releaseId, failedReleaseIds.includes(request.releaseId), stranded]);
  return canonicalJson({ schema: 1, releaseId: request.releaseId, hosts: lines });
}

/** A host as it told of itself last, whatever product it has. */
export interface ToldHost {
  readonly host: HostId;
  readonly role: Role;
  readonly status: FleetStatus;
  readonly products: readonly HostInspection[];
}

/** The hosts that a rollout is about: those that have the product, and those that are named. */
export function fleetOf(told: readonly ToldHost[], { product, target }: Pick<RolloutRequest, 'product' | 'target'>): FleetHost[] {
  const named = new Set<string>(target.kind === 'hosts' ? target.hosts : []);
  return told.flatMap(({ host, role, status, products }): FleetHost[] => {
    const inspection = products.find((each) => each.product === product);
    if (!inspection?.state && !named.has(host)) return [];
    const { state, intent } = inspection ?? { state: null, intent: null };
    return [{ host, role, status, releaseId: state?.lastGoodReleaseId ?? null, failedReleaseIds: state?.failedReleaseIds ?? [], stranded: (intent?.stranded ?? null) !== null }];
  });
}
