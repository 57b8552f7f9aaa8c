import type { FleetState } from '../fleet/host-state.ts';
import type { HostId } from '../ids.ts';

/** How long a host may be silent before somebody is told: a restart, or an update of its agent, takes less. */
export const awayMs = 5 * 60_000;

/** Hosts that were heard once and are silent for too long now, with since when and why. One that a person works on is left out, and so is one whose silence is older than a day: whoever asked to be told has been. */
export function hostsAway(hosts: readonly { readonly host: HostId; readonly state: FleetState }[], now: number): { readonly host: HostId; readonly since: string; readonly why: string | null }[] {
  return hosts.flatMap(({ host, state: { phase, link } }) => {
    const silentMs = now - Date.parse(link.since);
    return phase !== 'maintenance' && link.phase === 'disconnected' && silentMs >= awayMs && silentMs < 24 * 3_600_000 ? [{ host, since: link.since, why: link.why }] : [];
  });
}
