import { setTimeout as sleep } from 'node:timers/promises';
import type { HostActivities, HostActivityInput, HostActivityName } from '../../activities/host/index.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { HostInspection, HostState } from '../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId, ServiceName } from '../../src/domain/ids.ts';

type Result<Name extends HostActivityName> = Awaited<ReturnType<HostActivities[Name]>>['value'];
type StandIn<Name extends HostActivityName> = (input: HostActivityInput<Name>) => Result<Name>;

/** What an update of a product without hooks and router asks of a host, on the way to the release and back. */
const asked = [
  'inspectHost', 'openIntent', 'downloadBundle', 'verifyBundle', 'extractBundle', 'runPreflight', 'takeBackup', 'armRecovery', 'configureInstances', 'activateRelease', 'drainInstance', 'restartInstance',
  'proveInstance', 'admitInstance', 'verifyHealth', 'commitRelease', 'pruneReleases', 'closeIntent', 'unconfigureInstances', 'discardRelease',
] as const satisfies readonly HostActivityName[];
type Asked = (typeof asked)[number];

export interface SimulatedHost {
  readonly host: HostId;
  inspection(): HostInspection;
  /** As the poller takes them. Each waits, then answers as the host would, and changes what `inspection` tells. */
  readonly activities: Readonly<Record<string, (input: never) => Promise<unknown>>>;
  /** The runs that began to change it, with the release that they were to bring. */
  readonly begun: ReadonlyMap<RunId, ReleaseId>;
  /** How often each instance was restarted on which release: `api-a r2` → 1. */
  readonly restarts: ReadonlyMap<string, number>;
}

export interface SimulatedHostOptions {
  readonly host: HostId;
  readonly product: ProductName;
  /** What it runs and holds for good at first. */
  readonly releaseId: ReleaseId;
  /** Instances of it on this release are never ready; null where it runs every release. */
  readonly failsOn: ReleaseId | null;
  /** How long each activity takes, in milliseconds. */
  readonly waitMs: number;
  /** Told at the end of each run, as an agent tells control what it has. */
  readonly changed: (host: SimulatedHost) => Promise<void>;
}

/** A host of which only the state is there: what its agent would have done takes `waitMs` and does nothing. */
export function createSimulatedHost({ host, product, releaseId, failsOn, waitMs, changed }: SimulatedHostOptions): SimulatedHost {
  const begun = new Map<RunId, ReleaseId>();
  const restarts = new Map<string, number>();
  const names = ['api-a', 'api-b'] as InstanceName[];
  const instance = (at: number) => ({ service: 'api' as ServiceName, port: 4011 + at, releaseId, admitted: true, startedBy: null });
  let state: HostState = {
    schema: 1,
    product,
    phase: 'installed',
    activeReleaseId: releaseId,
    lastGoodReleaseId: releaseId,
    previousGoodReleaseId: null,
    failedReleaseIds: [],
    instances: Object.fromEntries(names.map((name, at) => [name, instance(at)])),
    router: null,
    lastRunId: null,
    updatedAt: new Date().toISOString(),
  };
  const change = (to: Partial<HostState>): void => void (state = { ...state, ...to, updatedAt: new Date().toISOString() });
  const changeInstance = (name: InstanceName, to: Partial<HostState['instances'][InstanceName]>): void => {
    const before = state.instances[name];
    if (before) change({ instances: { ...state.instances, [name]: { ...before, ...to } } });
  };

  const answers: { readonly [Name in Asked]: StandIn<Name> } = {
    inspectHost: () => simulated.inspection(),
    openIntent: ({ run, toReleaseId }) => void begun.set(run.runId, toReleaseId),
    downloadBundle: ({ artifact }) => ({ bytes: artifact.sizeBytes, resumedFrom: 0, skipped: false }),
    verifyBundle: () => ({ signedBy: null, skipped: false }),
    extractBundle: ({ artifact }) => ({ files: 2, bytes: artifact.sizeBytes, rehashed: false }),
    runPreflight: () => ({ note: 'no preflight hook' }),
    takeBackup: ({ run }) => ({ backupPath: `/simulated/${run.runId}`, bytes: 0 }),
    armRecovery: ({ run }) => ({ script: `/simulated/recover-${run.runId}.sh` }),
    configureInstances: () => ({ created: [] }),
    activateRelease: ({ releaseId: active }) => {
      change({ activeReleaseId: active });
      return { changed: true };
    },
    drainInstance: ({ instance: name }) => {
      changeInstance(name, { admitted: false });
      return { drained: true, waitedMs: waitMs };
    },
    restartInstance: ({ run, instance: name, releaseId: on }) => {
      restarts.set(`${name} ${on}`, (restarts.get(`${name} ${on}`) ?? 0) + 1);
      changeInstance(name, { releaseId: on, startedBy: run.runId });
      return { result: 'restarted' };
    },
    proveInstance: ({ instance: name, releaseId: on }) => {
      if (on === failsOn) throw new FairleadError({ class: 'release', code: 'probe_failed', message: `${name} of ${on} on ${host} was not ready within its time.` });
      return { readyAfterMs: waitMs, bakedMs: 0 };
    },
    admitInstance: ({ instance: name }) => changeInstance(name, { admitted: true }),
    verifyHealth: () => ({ probes: 1 }),
    commitRelease: ({ run, releaseId: good }) => change({ previousGoodReleaseId: state.lastGoodReleaseId, lastGoodReleaseId: good, lastRunId: run.runId }),
    pruneReleases: () => ({ releases: [], backups: [] }),
    closeIntent: () => undefined,
    unconfigureInstances: () => undefined,
    discardRelease: ({ releaseId: bad, condemn }) => (condemn ? change({ failedReleaseIds: [...state.failedReleaseIds, bad] }) : undefined),
  };

  const simulated: SimulatedHost = {
    host,
    begun,
    restarts,
    inspection: () => ({ product, state, currentReleaseId: state.activeReleaseId, completeReleaseIds: [releaseId], intent: null, freeBytes: 2 ** 36, router: 'embedded', trustedKeyIds: [] }),
    activities: Object.fromEntries(
      asked.map((name) => [
        name,
        async (input: never): Promise<unknown> => {
          await sleep(waitMs);
          const answer = answers[name](input) as unknown;
          if (name === 'closeIntent') await changed(simulated);
          return answer ?? null;
        },
      ]),
    ),
  };
  return simulated;
}

/** Whether the release fails on the host of this number: the same in every process, for a share of them, spread over the fleet. */
export function isFated(at: number, share: number): boolean {
  // Two rounds of Murmur3's finalizer: neighbours get numbers that have nothing to do with each other.
  let hash = at + 1;
  for (const factor of [0x85ebca6b, 0xc2b2ae35]) hash = Math.imul(hash ^ (hash >>> 15), factor);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < share;
}

/** The host of a number from 0 on; names sort as numbers do. */
export const simulatedHostId = (at: number): HostId => `sim-${String(at + 1).padStart(5, '0')}` as HostId;
