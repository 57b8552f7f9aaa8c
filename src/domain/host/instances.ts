import { instancesOf, type Colour, type InstanceDeclaration, type Phase, type ProductManifest, type Service } from '../product/manifest.ts';
import type { ExtraInstance, HostState } from './state.ts';

/**
 * The manifest as it holds on one host: with the instances that people added there. They stand behind the declared ones of their service and phase,
 * so that everything that reads a manifest treats them alike. One that the release declares itself by now is left out, and so is one whose service
 * the release does not have. Pure.
 */
export function withExtras(manifest: ProductManifest, extras: readonly ExtraInstance[] = []): ProductManifest {
  if (extras.length === 0) return manifest;
  return { ...manifest, services: manifest.services.map((service) => extendedBy(service, extras.filter((extra) => extra.service === service.name))) };
}

function extendedBy(service: Service, extras: readonly ExtraInstance[]): Service {
  const added = extras.filter(({ short, phase }) => !service.instances[phase].includes(short));
  if (added.length === 0) return service;
  const inPhase = (phase: Phase): string[] => [...service.instances[phase], ...added.filter((extra) => extra.phase === phase).map(({ short }) => short)];
  return {
    ...service,
    instances: { setup: inPhase('setup'), installed: inPhase('installed') },
    // A port that the manifest gives to the name is the manifest's to give.
    ports: { ...Object.fromEntries(added.map(({ short, port }) => [short, port])), ...service.ports },
  };
}

/**
 * The instances that a release has on this host in a phase, in the order in which they are started and updated: those that the manifest declares, and
 * those that were added here and proven. Pure.
 */
export function instancesOnHost(manifest: ProductManifest, phase: Phase, state: Pick<HostState, 'extras'> | null, colour: Colour = 'blue'): InstanceDeclaration[] {
  return instancesOf(withExtras(manifest, state?.extras?.filter(({ settled }) => settled)), phase, colour);
}
