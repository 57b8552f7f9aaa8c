import { join } from 'node:path';
import type { ArtifactRef } from '../../src/domain/bundle/artifact.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { emptyState } from '../../src/domain/host/state.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { ProductName, ReleaseId } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies } from './dependencies.ts';

export interface ArtifactCommand extends Command {
  readonly artifact: ArtifactRef;
}

export interface DiscardInput extends Command {
  readonly releaseId: ReleaseId;
  /** Remember that the release failed here: it is not retried by itself and is never a rollback target. */
  readonly condemn: boolean;
}

export function createBundleActivities(dependencies: HostDependencies) {
  const { root, store, files, releases, backups, artifacts, verifier, now } = dependencies;

  /** Named by digest: a download can only ever be resumed with bytes of the same bundle. */
  const downloadFile = ({ product, sha256, format }: ArtifactRef): string =>
    join(hostLayout(root, product).downloadsDir, `${sha256}.tar.${format}`);

  const report = (context: ActivityContext, what: string) => (done: number, total: number) => context.progress({ what, done, total });

  return {
    /** Fetches the bundle, or what is missing of it. A release that is complete already is not fetched again. */
    async downloadBundle({ artifact }: ArtifactCommand, context: ActivityContext): Promise<{ bytes: number; resumedFrom: number; skipped: boolean }> {
      if (await isStaged(artifact)) return { bytes: 0, resumedFrom: 0, skipped: true };
      const got = await artifacts.download(artifact, downloadFile(artifact), report(context, 'bytes downloaded'), context.cancel);
      return { ...got, skipped: false };
    },

    /**
     * Fetches and verifies a bundle before anybody asked for the update: whenever that comes, it finds it here. Idempotent. Changes nothing that a run relies on, so it is no
     * command of one; it takes its turn among them all the same.
     */
    async prefetchBundle({ artifact }: { readonly product: ProductName; readonly artifact: ArtifactRef }, context: ActivityContext): Promise<{ bytes: number }> {
      if (await isStaged(artifact)) return { bytes: 0 };
      const { bytes } = await artifacts.download(artifact, downloadFile(artifact), report(context, 'bytes downloaded'), context.cancel);
      await verifier.verify(downloadFile(artifact), artifact, report(context, 'bytes verified'), context.cancel);
      return { bytes };
    },

    /** Size, digest and signature of the bundle. Whatever does not fit is removed, so that the next attempt fetches it anew. */
    async verifyBundle({ artifact }: ArtifactCommand, context: ActivityContext): Promise<{ signedBy: string | null; skipped: boolean }> {
      if (await isStaged(artifact)) return { signedBy: null, skipped: true };
      return { ...(await verifier.verify(downloadFile(artifact), artifact, report(context, 'bytes verified'), context.cancel)), skipped: false };
    },

    /**
     * Unpacks the bundle beside the running release, every file checked against the file list; complete only with its mark. A release that
     * stands there already is read again file by file instead.
     */
    async extractBundle({ artifact }: ArtifactCommand, context: ActivityContext): Promise<{ files: number; bytes: number; rehashed: boolean }> {
      const { product, releaseId } = artifact;
      if (await isStaged(artifact)) {
        const differing = await releases.rehash(product, releaseId);
        if (differing.length === 0) return { files: 0, bytes: 0, rehashed: true };
        if ((await releases.current(product)) === releaseId) {
          throw new FairleadError({
            class: 'host',
            code: 'active_release_altered',
            message: `Release ${releaseId} of ${product} is active, and ${differing.length} of its files differ from the file list, first ${differing[0]}.`,
            hint: 'Somebody changed files below releases/. Apply another release, then this one again.',
          });
        }
        await releases.remove(product, releaseId);
        await artifacts.download(artifact, downloadFile(artifact), report(context, 'bytes downloaded'), context.cancel);
        await verifier.verify(downloadFile(artifact), artifact, report(context, 'bytes verified'), context.cancel);
      }
      const result = await releases.extract(downloadFile(artifact), artifact, report(context, 'bytes unpacked'), context.cancel);
      return { files: result.files, bytes: result.bytes, rehashed: false };
    },

    /** Takes a release away that did not make it. Never the active or the last good one. Idempotent. */
    async discardRelease({ run, releaseId, condemn }: DiscardInput): Promise<void> {
      const { product } = run;
      const state = await store.readState(product);
      if (condemn && !state?.failedReleaseIds.includes(releaseId)) {
        await store.writeState({
          ...(state ?? emptyState(product, now().toISOString())),
          failedReleaseIds: [...(state?.failedReleaseIds ?? []), releaseId],
          lastRunId: run.runId,
          updatedAt: now().toISOString(),
        });
      }
      await files.pruneDownloads(product, []);
      const kept = [state?.activeReleaseId, state?.lastGoodReleaseId, await releases.current(product)];
      if (!kept.includes(releaseId)) await releases.remove(product, releaseId);
    },

    /** Removes the oldest releases and backups beyond what the manifest keeps. Never the active or the last good release. */
    async pruneReleases({ run, releaseId }: Command & { readonly releaseId: ReleaseId }): Promise<{ releases: string[]; backups: string[] }> {
      const { product } = run;
      const { retention } = await releases.readManifest(product, releaseId);
      const state = await store.readState(product);
      const kept = new Set([releaseId, state?.activeReleaseId, state?.lastGoodReleaseId, state?.previousGoodReleaseId, await releases.current(product)]);
      const complete = await releases.listComplete(product);
      const surplus = complete.filter((id) => !kept.has(id)).slice(0, Math.max(0, complete.length - retention.releases));
      for (const id of surplus) await releases.remove(product, id);
      const old = (await backups.list(product)).filter(({ runId }) => runId !== run.runId).slice(Math.max(0, retention.backups - 1));
      for (const { runId } of old) await backups.remove(product, runId);
      await files.pruneDownloads(product, []);
      return { releases: surplus, backups: old.map(({ runId }) => runId) };
    },
  };

  async function isStaged({ product, releaseId, sha256 }: ArtifactRef): Promise<boolean> {
    return releases.isComplete(product, releaseId, sha256);
  }
}
