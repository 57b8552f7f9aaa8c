import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { HostInspection, HostState, InstanceState } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName, Sha256 } from '../../src/domain/ids.ts';
import type { ProductManifest, Service } from '../../src/domain/product/manifest.ts';

/** A product with two API instances and one web instance, as its manifest, its artifact, and a host that runs r1 of it. */
const product = 'shop' as ProductName;

export function sampleManifest(change: Partial<ProductManifest> = {}): ProductManifest {
  const service = (name: string, order: number, installed: string[], ports: Record<string, number>): Service => ({
    name: name as ServiceName,
    command: ['node', `${name}.mjs`],
    instances: { setup: ['setup'], installed },
    ports,
    env: {},
    stopSignal: 'SIGTERM',
    stopSeconds: 5,
    drainSeconds: 5,
    startSeconds: 5,
    reloadSignal: null,
    order,
    probes: { live: `${name}-live`, ready: `${name}-ready` },
  });
  const probe = (name: string, target: 'router' | string) => ({
    name,
    target: target === 'router' ? ('router' as const) : { service: target as ServiceName },
    path: '/health',
    expectStatus: 200,
    releaseIdField: 'releaseId',
    expectBody: null,
    timeoutSeconds: 1,
  });
  return {
    schema: 1,
    product,
    releaseId: 'r2' as ReleaseId,
    platformVersion: '1.0.0',
    artifact: { role: 'node', profile: 'default' },
    initialPhase: 'installed',
    services: [service('web', 2, ['a'], { setup: 4201, a: 4202 }), service('api', 1, ['a', 'b'], { setup: 4100, a: 4101, b: 4102 })],
    probes: Object.fromEntries(
      [probe('api-live', 'api'), probe('api-ready', 'api'), probe('web-live', 'web'), probe('web-ready', 'web'), probe('api-route', 'router')].map((entry) => [entry.name, entry]),
    ),
    health: { setup: ['api-ready'], installed: ['api-route', 'web-ready'] },
    router: { listen: 4000, routes: [{ path: '/', service: 'web' as ServiceName }], nginx: { include: null, upstreams: { web: 'shop_web' } } },
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
    ...change,
  };
}

export function sampleArtifact(change: Partial<Artifact> = {}, manifest: Partial<ProductManifest> = {}): Artifact {
  const releaseId = change.releaseId ?? ('r2' as ReleaseId);
  return {
    product,
    releaseId,
    role: 'node',
    profile: 'default',
    format: 'gz',
    sizeBytes: 1_000_000,
    sha256: 'a'.repeat(64) as Sha256,
    fileListSha256: 'b'.repeat(64) as Sha256,
    platformVersion: '1.0.0',
    signature: null,
    manifest: sampleManifest({ releaseId, ...manifest }),
    ...change,
  };
}

export function sampleState(): HostState {
  const running = (service: string, port: number): InstanceState => ({ service: service as ServiceName, port, releaseId: 'r1' as ReleaseId, admitted: true, startedBy: null });
  return {
    schema: 1,
    product,
    phase: 'installed',
    activeReleaseId: 'r1' as ReleaseId,
    lastGoodReleaseId: 'r1' as ReleaseId,
    previousGoodReleaseId: null,
    failedReleaseIds: [],
    instances: { ['api-a' as InstanceName]: running('api', 4101), ['api-b' as InstanceName]: running('api', 4102), ['web-a' as InstanceName]: running('web', 4202) },
    router: { address: '127.0.0.1', port: 4000 },
    lastRunId: null,
    updatedAt: '2026-01-01T00:00:00.000Z',
  };
}

export function sampleInspection(change: Partial<HostInspection> = {}): HostInspection {
  return {
    product,
    state: sampleState(),
    currentReleaseId: 'r1' as ReleaseId,
    completeReleaseIds: ['r1' as ReleaseId],
    intent: null,
    freeBytes: 2 ** 40,
    router: 'embedded',
    trustedKeyIds: [],
    ...change,
  };
}
