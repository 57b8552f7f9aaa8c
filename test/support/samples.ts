import { createHash } from 'node:crypto';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { HostInspection } from '../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId, ServiceName, Sha256 } from '../../src/domain/ids.ts';
import type { ProductManifest, Role } from '../../src/domain/product/manifest.ts';
import type { RunReport } from '../../src/domain/run/report.ts';

export const product = 'lab' as ProductName;
export const host = 'h1' as HostId;
export const digestOf = (text: string | Uint8Array): Sha256 => createHash('sha256').update(text).digest('hex') as Sha256;

export function sampleManifest(releaseId: string, role: Role = 'node'): ProductManifest {
  return {
    schema: 1,
    product,
    releaseId: releaseId as ReleaseId,
    platformVersion: '1.0',
    artifact: { role, profile: 'default' },
    initialPhase: 'installed',
    services: [
      {
        name: 'api' as ServiceName,
        command: ['bin/api'],
        instances: { setup: [], installed: ['a', 'b'] },
        ports: { a: 4001, b: 4002 },
        env: {},
        stopSignal: 'SIGTERM',
        stopSeconds: 10,
        drainSeconds: 10,
        startSeconds: 10,
        reloadSignal: null,
        order: 1,
        probes: { live: 'api-live', ready: 'api-live' },
      },
    ],
    probes: { 'api-live': { name: 'api-live', target: { service: 'api' as ServiceName }, path: '/health', expectStatus: 200, releaseIdField: 'releaseId', expectBody: null, timeoutSeconds: 2 } },
    health: { setup: [], installed: ['api-live'] },
    router: null,
    hooks: {},
    backupPaths: [],
    data: { schemaGeneration: 1, readsFrom: 1, onRollback: 'keep' },
    updateFrom: null,
    setup: null,
    canary: { tiers: [1, 10, 50], holdSeconds: 60, minRequests: 20, dataWaitSeconds: 1800, maxErrorRate: 0.01, maxLatencyRatio: 2, metric: null },
    keepWarmSeconds: 30,
    certificates: null,
    retention: { releases: 3, backups: 3 },
    bakeSeconds: 0,
  };
}

export function sampleArtifact(releaseId: string, changes: Partial<Artifact> = {}): Artifact {
  const role = changes.role ?? 'node';
  return {
    product,
    releaseId: releaseId as ReleaseId,
    role,
    profile: 'default',
    format: 'gz',
    sizeBytes: 3,
    sha256: digestOf(`${releaseId}/${role}/${changes.profile ?? 'default'}`),
    fileListSha256: digestOf('files'),
    platformVersion: '1.0',
    signature: null,
    manifest: sampleManifest(releaseId, role),
    ...changes,
  };
}

export function sampleInspection(activeReleaseId: string | null, changes: Partial<HostInspection> = {}): HostInspection {
  const active = activeReleaseId as ReleaseId | null;
  return {
    product,
    state:
      active === null
        ? null
        : {
            schema: 1,
            product,
            phase: 'installed',
            activeReleaseId: active,
            lastGoodReleaseId: active,
            previousGoodReleaseId: null,
            failedReleaseIds: [],
            instances: { ['api-a' as InstanceName]: { service: 'api' as ServiceName, port: 4001, releaseId: active, admitted: true, startedBy: null } },
            router: null,
            lastRunId: null,
            updatedAt: '2026-11-21T09:00:00.000Z',
          },
    currentReleaseId: active,
    completeReleaseIds: active === null ? [] : [active],
    intent: null,
    freeBytes: 10 * 2 ** 30,
    router: 'embedded',
    trustedKeyIds: [],
    ...changes,
  };
}

export function sampleReport(runId: string, changes: Partial<RunReport> = {}): RunReport {
  return {
    schema: 1,
    runId: runId as RunId,
    workflowId: `host/${host}/${product}`,
    kind: 'update-apply',
    host,
    product,
    fromReleaseId: 'r1' as ReleaseId,
    toReleaseId: 'r2' as ReleaseId,
    artifactRole: 'node',
    artifactProfile: 'default',
    requestedBy: 'ci (admin)',
    startedAt: '2026-11-21T09:00:00.000Z',
    endedAt: '2026-11-21T09:01:00.000Z',
    outcome: 'succeeded',
    reason: null,
    steps: [{ name: 'activate', direction: 'do', startedAt: '2026-11-21T09:00:10.000Z', durationMs: 12, attempts: 1, outcome: 'done' }],
    evidence: [],
    backupPath: null,
    recovery: null,
    ...changes,
  };
}
