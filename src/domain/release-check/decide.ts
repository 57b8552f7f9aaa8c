import type { FleetPhase } from '../fleet/host-state.ts';
import type { HostId, ReleaseId } from '../ids.ts';
import type { Freeze } from '../rollout/freeze.ts';
import type { WindowView } from '../rollout/window.ts';
import { isFor, type Channel } from './channel.ts';
import type { UpdatePolicy } from './policy.ts';

/** A release as the check sees it: of the host's role. */
export interface CheckedRelease {
  readonly releaseId: ReleaseId;
  readonly channel: Channel;
  /** Null where nobody signed it. */
  readonly signedBy: string | null;
}

/** What control knows of a product on a host. */
export interface CheckedHost {
  readonly host: HostId;
  readonly status: FleetPhase;
  /** Null where nothing is installed: a first install is never begun by itself. */
  readonly activeReleaseId: ReleaseId | null;
  readonly failedReleaseIds: readonly ReleaseId[];
  readonly stranded: boolean;
  /** Whether a run is at work on it. */
  readonly busy: boolean;
  /** What its last update, by whomever, was to bring; null where there was none. */
  readonly lastTriedReleaseId: ReleaseId | null;
  /** Publishers that the host takes releases from; none: any. */
  readonly trustedKeyIds: readonly string[];
}

/** How the rollout of a release stands that the check began itself: it begins one once, and one that failed never again. */
export type OwnRollout = 'open' | 'succeeded' | 'failed';

export interface CheckedWorld {
  readonly policy: Pick<UpdatePolicy, 'channel' | 'action' | 'windows'>;
  /** What the calendar says of each of the policy's windows. */
  readonly windows: readonly WindowView[];
  readonly freeze: Freeze | null;
  readonly ownRollout: OwnRollout | null;
}

export type NotedWhy = 'policy' | 'window_closed' | 'frozen' | 'host_away' | 'host_in_maintenance' | 'host_stranded' | 'host_busy' | 'tried_already' | 'publisher_not_trusted' | 'active_unknown' | 'rollout_under_way' | 'rollout_failed';

export type CheckDecision =
  /** Nothing newer, or nothing installed. */
  | { readonly kind: 'current' }
  /** There is something, and it is left to people. `until` is when that may change by itself, where that is known. */
  | { readonly kind: 'note'; readonly releaseId: ReleaseId; readonly why: NotedWhy; readonly until: string | null }
  | { readonly kind: 'download'; readonly releaseId: ReleaseId }
  | { readonly kind: 'apply'; readonly releaseId: ReleaseId };

/**
 * What the release check does about one host. Pure. Newer means published later than the active release: what is only different, as when a release was moved to another
 * channel, is no update, so nothing ever goes back by itself. A release that failed on the host is passed over.
 *
 * @param releases of the product for the host's role, the one published last first
 */
export function decideCheck(host: CheckedHost, releases: readonly CheckedRelease[], { policy, windows, freeze, ownRollout }: CheckedWorld): CheckDecision {
  if (host.activeReleaseId === null) return { kind: 'current' };
  const at = releases.findIndex(({ releaseId }) => releaseId === host.activeReleaseId);
  const newer = at === -1 ? releases : releases.slice(0, at);
  const found = newer.find(({ releaseId, channel }) => isFor(channel, policy.channel) && !host.failedReleaseIds.includes(releaseId));
  if (found === undefined) return { kind: 'current' };
  const { releaseId } = found;
  const note = (why: NotedWhy, until: string | null = null): CheckDecision => ({ kind: 'note', releaseId, why, until });
  // A release that control never published may well be the newer one.
  if (at === -1) return note('active_unknown');
  if (policy.action === 'notify') return note('policy');
  if (host.trustedKeyIds.length > 0 && (found.signedBy === null || !host.trustedKeyIds.includes(found.signedBy))) return note('publisher_not_trusted');
  if (host.stranded) return note('host_stranded');
  if (host.status === 'maintenance') return note('host_in_maintenance');
  if (host.status !== 'connected') return note('host_away');
  if (host.busy) return note('host_busy');
  if (policy.action === 'download') return { kind: 'download', releaseId };
  // It was refused, cancelled or undone, or the host has yet to tell that it is there: one try by itself is enough.
  if (host.lastTriedReleaseId === releaseId) return note('tried_already');
  if (freeze !== null) return note('frozen', freeze.until);
  if (policy.windows.length > 0 && !windows.some(({ open }) => open)) return note('window_closed', earliest(windows.map(({ nextOpen }) => nextOpen)));
  if (ownRollout === 'open') return note('rollout_under_way');
  if (ownRollout === 'failed') return note('rollout_failed');
  return { kind: 'apply', releaseId };
}

function earliest(instants: readonly (string | null)[]): string | null {
  const known = instants.filter((instant) => instant !== null);
  return known.length === 0 ? null : known.reduce((first, instant) => (Date.parse(instant) < Date.parse(first) ? instant : first));
}
