import type { UpdateCheckAnswer } from '../contract/index.ts';
import type { ProductName } from '../domain/ids.ts';
import { isFor } from '../domain/release-check/channel.ts';
import { policyOf, type UpdatePolicy } from '../domain/release-check/policy.ts';
import type { HostRow, PublishedRelease } from '../ports/control-stores.ts';

/**
 * What there is for a host. Pure. Newer means published later: release ids are compared for equality and nothing else.
 *
 * @param releases of the product, newest first.
 */
export function checkForUpdate(host: HostRow, product: ProductName, releases: readonly PublishedRelease[], policies: readonly UpdatePolicy[]): UpdateCheckAnswer {
  const policy = policyOf(policies, host.host, product);
  const inspection = host.products.find((each) => each.product === product);
  const activeReleaseId = inspection?.state?.activeReleaseId ?? null;
  const condemned = new Set(inspection?.state?.failedReleaseIds ?? []);
  const trusted = inspection?.trustedKeyIds ?? [];
  const seen = new Set<string>();
  const candidates = releases
    .filter((release) => release.role === host.role)
    // Several profiles of one release are one release.
    .filter((release) => !seen.has(release.releaseId) && seen.add(release.releaseId))
    .map((release) => ({
      releaseId: release.releaseId,
      platformVersion: release.platformVersion,
      publishedAt: release.publishedAt,
      channel: release.channel,
      active: release.releaseId === activeReleaseId,
      condemned: condemned.has(release.releaseId),
      signedByTrusted: trusted.length === 0 ? null : release.signature !== null && trusted.includes(release.signature.keyId),
    }));
  // What was published before the active release is none, also where the host has come to follow a more careful channel.
  const at = candidates.findIndex(({ active }) => active);
  const newest = candidates.slice(0, at === -1 ? candidates.length : at + 1).find((candidate) => !candidate.condemned && (candidate.active || isFor(candidate.channel, policy.channel)));
  return {
    host: host.host,
    product,
    role: host.role,
    activeReleaseId,
    channel: policy.channel,
    policy: { action: policy.action, windows: policy.windows.map((window) => ({ ...window })), host: policy.host },
    updateAvailable: newest !== undefined && !newest.active,
    newest: newest === undefined ? null : { releaseId: newest.releaseId, platformVersion: newest.platformVersion, publishedAt: newest.publishedAt },
    candidates,
  };
}
