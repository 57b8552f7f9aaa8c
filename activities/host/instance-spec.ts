import { FairleadError } from '../../src/domain/failure.ts';
import { hostLayout, type HostLayout } from '../../src/domain/host/layout.ts';
import type { HostState, HostTls } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName, ServiceName } from '../../src/domain/ids.ts';
import { findInstance, type CertificateDeclaration, type InstanceDeclaration, type ProductManifest } from '../../src/domain/product/manifest.ts';
import type { RouterMember, RouterState, RouterTls } from '../../src/ports/router.ts';
import type { InstanceRef, InstanceSpec } from '../../src/ports/service-manager.ts';

export function fillPlaceholders(text: string, releaseDir: string, layout: HostLayout): string {
  return text.replaceAll('{release}', releaseDir).replaceAll('{state}', layout.stateRoot).replaceAll('{config}', layout.configDir);
}

/** The declaration of an instance in a release, or a failure that names both. */
export function declarationOf(manifest: ProductManifest, instance: InstanceName): InstanceDeclaration {
  const declared = findInstance(manifest, instance);
  if (declared) return declared;
  throw new FairleadError({
    class: 'release',
    code: 'instance_undeclared',
    message: `Release ${manifest.releaseId} of ${manifest.product} declares no instance ${instance}.`,
    hint: 'Look at services.*.instances in its fairlead.yaml.',
  });
}

/** Names an instance to the service manager: by what the host's state says of it, else by the releases that declare it, else by its own name. */
export function instanceRef(product: ProductName, instance: InstanceName, state: HostState | null, ...manifests: readonly (ProductManifest | null)[]): InstanceRef {
  const declared = manifests.map((manifest) => (manifest ? findInstance(manifest, instance)?.service.name : undefined)).find((name) => name !== undefined);
  return { product, service: state?.instances[instance]?.service ?? declared ?? (instance.split('-')[0] as ServiceName), instance };
}

/** Everything that the service manager needs to run `instance` on the manifest's release. @param port where the instance listens on this host. */
export function specOf(root: string, manifest: ProductManifest, instance: InstanceName, port: number): InstanceSpec {
  const layout = hostLayout(root, manifest.product);
  const { service } = declarationOf(manifest, instance);
  const releaseDir = layout.releaseDir(manifest.releaseId);
  const fill = (text: string) => fillPlaceholders(text, releaseDir, layout).replaceAll('{port}', String(port));
  return {
    product: manifest.product,
    service: service.name,
    instance,
    releaseId: manifest.releaseId,
    releaseDir,
    command: service.command.map(fill),
    configFile: layout.configFile(instance),
    env: {
      PORT: String(port),
      FAIRLEAD_PRODUCT: manifest.product,
      FAIRLEAD_SERVICE: service.name,
      FAIRLEAD_STATE_DIR: layout.stateRoot,
      ...Object.fromEntries(Object.entries(service.env).map(([key, value]) => [key, fill(value)])),
    },
    logFile: layout.logFile(instance),
    stopSignal: service.stopSignal,
    stopSeconds: service.stopSeconds,
    reloadSignal: service.reloadSignal,
  };
}

/** What the router should do, by the host's state; null where the release has no router. */
export function routerStateOf(root: string, state: HostState, manifest: ProductManifest): RouterState | null {
  if (manifest.router === null) return null;
  const members = (Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][]).map(
    ([instance, { service, port, admitted }]): RouterMember => ({ service, instance, port, admitted }),
  );
  return {
    product: state.product,
    declaration: manifest.router,
    port: state.router?.port ?? manifest.router.listen,
    releaseDir: hostLayout(root, state.product).releaseDir(manifest.releaseId),
    members: members.sort((a, b) => (a.instance < b.instance ? -1 : 1)),
    split: state.split ?? null,
    ...(state.tls ? { tls: routerTlsOf(root, state.product, state.tls, manifest.certificates) } : {}),
    ...(manifest.certificates ? { challenges: true } : {}),
  };
}

/** Nobody is sent to https, or told to stay there, before it is proven. A release that no longer says how TLS is ended does not end it. */
function routerTlsOf(root: string, product: ProductName, { certificate, names, ports, proven }: HostTls, declared: CertificateDeclaration | null): RouterTls {
  return { directory: hostLayout(root, product).certificateLink(certificate), names, ports, redirect: proven && (declared?.redirect ?? true), hsts: proven ? (declared?.hsts ?? null) : null };
}

/** The host's state, which must be there once `configure` has run. */
export function demandState(state: HostState | null, product: ProductName): HostState {
  if (state) return state;
  throw new FairleadError({
    class: 'host',
    code: 'host_state_missing',
    message: `The host has no state of ${product} although a run is under way.`,
    hint: 'Somebody removed state.json. Start the update again; a first install writes it anew.',
  });
}
