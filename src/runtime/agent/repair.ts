import { instanceRef } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies, RunRef } from '../../../activities/host/dependencies.ts';
import type { createHostActivities } from '../../../activities/host/index.ts';
import { probeNamed } from '../../../activities/host/proof.ts';
import { stateAsSeen, type Finding } from '../../domain/host/drift.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../domain/ids.ts';
import { findInstance } from '../../domain/product/manifest.ts';
import type { ActivityContext } from '../../ports/host-activity.ts';

type Composed = ReturnType<typeof createHostActivities>;
type Activities = Composed['activities'];

/**
 * The activities of a host that can be repaired. A repair is a run of the release that is the last good one already: it puts right what is not,
 * and there is nothing that it could go back to. So, in a repair only:
 *
 * - the plan is made from what is seen, not from what was written down, else there would be nothing to do;
 * - an instance that runs the release and is ready is neither drained nor touched: no request is dropped for a repair;
 * - data is neither migrated nor restored: it is the release's already, and a backup of minutes ago would lose what was written since;
 * - one that fails leaves the host as it was and lets it go. It is no more stranded than before, and the next update must not be refused.
 */
export function withRepairs({ activities, exclusively }: Composed, host: HostDependencies, look: (product: ProductName) => Promise<readonly Finding[]>): Activities {
  const { store, releases, services, probe } = host;

  const isRepair = (from: ReleaseId | null, to: ReleaseId): boolean => from !== null && from === to;

  /** Whether the run is a repair, and the instance is what it should be. */
  async function isRight(run: RunRef, instance: InstanceName, direction: string, context: ActivityContext): Promise<boolean> {
    const intent = await store.readIntent(run.product);
    // Runs about services have one release as well, and do what they were asked to.
    if (direction !== 'do' || intent?.runId !== run.runId || intent.kind !== 'update-apply' || !isRepair(intent.fromReleaseId, intent.toReleaseId)) return false;
    const releaseId = intent.toReleaseId;
    const state = await store.readState(run.product);
    const entry = state?.instances[instance];
    if (!entry?.admitted || entry.releaseId !== releaseId) return false;
    const status = await services.status(instanceRef(run.product, instance, state));
    if (status.status !== 'active' || status.releaseId !== releaseId) return false;
    const manifest = await releases.readManifest(run.product, releaseId);
    const declared = findInstance(manifest, instance);
    if (!declared) return false;
    return (await probe.ask(probeNamed(manifest, declared.service.probes.ready), { name: instance, port: entry.port }, releaseId, context.cancel)).passed;
  }

  return {
    ...activities,
    async inspectHost(input) {
      const inspection = await activities.inspectHost(input);
      return { ...inspection, state: inspection.state && stateAsSeen(inspection.state, await look(input.product)) };
    },
    async drainInstance(input, context) {
      return (await isRight(input.run, input.instance, input.direction, context)) ? { drained: true, waitedMs: 0 } : activities.drainInstance(input, context);
    },
    async restartInstance(input, context) {
      return (await isRight(input.run, input.instance, input.direction, context)) ? { result: 'not_needed' } : activities.restartInstance(input, context);
    },
    async migrateData(input, context) {
      return isRepair(input.fromReleaseId, input.toReleaseId) ? { note: 'the data is of this release already' } : activities.migrateData(input, context);
    },
    async restoreData(input, context) {
      return isRepair(input.fromReleaseId, input.toReleaseId) ? { note: 'nothing was migrated' } : activities.restoreData(input, context);
    },
    async strandHost(input, context) {
      const intent = await store.readIntent(input.run.product);
      const record = await activities.strandHost(input, context);
      if (!isRepair(input.fromReleaseId, input.toReleaseId) || (intent?.runId === input.run.runId && intent.kind !== 'update-apply')) return record;
      const { product, runId } = input.run;
      await exclusively(product, async () => {
        await store.removeRecovery(product, runId);
        if ((await store.readIntent(product))?.runId === runId) await store.removeIntent(product);
      });
      return { ...record, commands: [] };
    },
  };
}
