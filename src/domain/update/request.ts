import type { HostId, ProductName, ReleaseId } from '../ids.ts';
import type { Phase, Role } from '../product/manifest.ts';

/**
 * How the instances of a host come to the new release. `rolling`: one at a time, in place. `blue-green`: all of them anew beside the old ones, then all
 * requests at once. `canary`: the same, but the requests follow in tiers, each judged.
 */
export const strategies = ['rolling', 'blue-green', 'canary'] as const;
export type Strategy = (typeof strategies)[number];

/** What somebody asked for: one release onto one host. The input of the run, so it must never hold a secret. */
export interface UpdateRequest {
  readonly host: HostId;
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  /** First install only: the phase to start in. Left out, the manifest's `initialPhase` decides. */
  readonly phase?: Phase;
  /** Which artifact of the release. Left out, the host's own role decides. */
  readonly role?: Role;
  readonly strategy: Strategy;
  /** Tries a release again that a run on this host condemned. */
  readonly allowFailed?: boolean;
  /** Instead of the manifest's: how long an instance has to stay healthy before the next one is touched. Seconds. */
  readonly bakeSeconds?: number;
  /** Instead of the manifest's: how long a canary's tier is held, or the old colour kept warm. Seconds. */
  readonly holdSeconds?: number;
  /** Instead of the manifest's: the tiers of a canary, in percent. */
  readonly tiers?: readonly number[];
  /** Name and role of the key that asked. */
  readonly requestedBy: string;
  /** The same request asked twice (a retry after a lost answer) starts one run. */
  readonly requestId: string;
}
