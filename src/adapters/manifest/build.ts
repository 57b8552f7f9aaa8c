import type { ProductName, ReleaseId, ServiceName } from '../../domain/ids.ts';
import type { CertificateDeclaration, Phase, Probe, ProductManifest, RouterDeclaration, Service } from '../../domain/product/manifest.ts';
import type { WrittenManifest, WrittenProbe, WrittenService } from './schema.ts';

/** The manifest that the domain works with, with every default filled in. */
export function buildManifest(written: WrittenManifest): ProductManifest {
  const services = Object.entries(written.services).map(([name, service], position) => buildService(name, service, position));
  return {
    schema: 1,
    product: written.product as ProductName,
    releaseId: written.releaseId as ReleaseId,
    platformVersion: written.platformVersion ?? written.releaseId,
    artifact: written.artifact ?? { role: 'controller', profile: 'default' },
    initialPhase: written.initialPhase ?? (services.some((service) => service.instances.setup.length > 0) ? 'setup' : 'installed'),
    services,
    probes: Object.fromEntries(Object.entries(written.probes).map(([name, probe]) => [name, buildProbe(name, probe)])),
    health: { setup: healthOf(written, services, 'setup'), installed: healthOf(written, services, 'installed') },
    router: buildRouter(written),
    hooks: written.hooks,
    backupPaths: written.backup.paths,
    data: {
      schemaGeneration: written.data.schemaGeneration,
      readsFrom: written.data.readsFrom ?? written.data.schemaGeneration,
      // Without a migration nothing was changed that a rollback would have to put back.
      onRollback: written.data.onRollback ?? 'keep',
    },
    updateFrom: written.updateFrom ? { releases: written.updateFrom.releases as ReleaseId[] } : null,
    setup: written.setup ? { service: written.setup.service as ServiceName, path: written.setup.path, timeoutSeconds: written.setup.timeoutSeconds } : null,
    canary: { ...written.canary, metric: written.canary.metric ?? null },
    keepWarmSeconds: written.blueGreen.keepWarmSeconds,
    certificates: buildCertificates(written),
    retention: written.retention,
    bakeSeconds: written.bakeSeconds,
  };
}

function buildService(name: string, service: WrittenService, position: number): Service {
  return {
    name: name as ServiceName,
    command: service.command,
    instances: service.instances,
    ports: service.ports,
    env: service.env,
    stopSignal: service.stop.signal,
    stopSeconds: service.stop.seconds,
    drainSeconds: service.drainSeconds,
    startSeconds: service.startSeconds,
    reloadSignal: service.reloadSignal ?? null,
    order: service.order ?? (position + 1) * 10,
    probes: {
      live: service.probes.live ?? service.probes.ready,
      ready: service.probes.ready,
      ...(service.probes.detailed === undefined ? {} : { detailed: service.probes.detailed }),
    },
  };
}

function buildProbe(name: string, probe: WrittenProbe): Probe {
  return {
    name,
    target: probe.service === undefined ? 'router' : { service: probe.service as ServiceName },
    path: probe.path,
    expectStatus: probe.status,
    releaseIdField: probe.releaseIdField ?? null,
    expectBody: probe.body ?? null,
    timeoutSeconds: probe.timeoutSeconds,
  };
}

/** Not said: the ready probe of each service that has instances in the phase. */
function healthOf(written: WrittenManifest, services: readonly Service[], phase: Phase): readonly string[] {
  return written.health[phase] ?? [...new Set(services.filter((service) => service.instances[phase].length > 0).map((service) => service.probes.ready))];
}

function buildCertificates({ certificates }: WrittenManifest): CertificateDeclaration | null {
  if (!certificates) return null;
  const { names, listen, redirect, hsts } = certificates;
  return { names: names.map((name) => name.toLowerCase()), ports: typeof listen === 'number' ? [listen] : listen, redirect, hsts: hsts ?? null };
}

function buildRouter(written: WrittenManifest): RouterDeclaration | null {
  if (!written.router) return null;
  const { listen, routes, nginx } = written.router;
  const routed = [...new Set(Object.values(routes))];
  return {
    listen,
    routes: Object.entries(routes).map(([path, service]) => ({ path, service: service as ServiceName })),
    nginx: {
      include: nginx.include ?? null,
      upstreams: Object.fromEntries(routed.map((service) => [service, nginx.upstreams[service] ?? `${written.product}_${service}`.replaceAll(/[^A-Za-z0-9_]/g, '_')])),
    },
  };
}
