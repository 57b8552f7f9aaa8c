import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../ids.ts';

/** The name of the product manifest at the root of every bundle. */
export const manifestFileName = 'fairlead.yaml';

export type Phase = 'setup' | 'installed';
export type Role = 'controller' | 'node';
/**
 * Two sets of the same instances, of which one serves: `api-a` is blue, `api-a-green` is its twin. A release that is tried beside the old one
 * (blue-green, canary) takes the colour that is idle.
 */
export type Colour = 'blue' | 'green';

/**
 * What `fairlead.yaml` says, after it was checked. All durations are in seconds. Paths in `command` are relative to the
 * release's directory; `{release}`, `{state}` and `{config}` in arguments, environment and backup paths stand for the release's
 * directory, the state root (`/var/lib/<product>`) and the configuration directory (`/etc/<product>`); in a service's arguments and environment, `{port}`
 * stands for the instance's port.
 */
export interface ProductManifest {
  readonly schema: 1;
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  /** A label that many releases share. No decision reads it. */
  readonly platformVersion: string;
  /** The role that this artifact was built for, and the name of the feature set built into it. */
  readonly artifact: { readonly role: Role; readonly profile: string };
  /** The phase that a first install starts in. */
  readonly initialPhase: Phase;
  readonly services: readonly Service[];
  readonly probes: Readonly<Record<string, Probe>>;
  /** Names of the probes that must all pass for the phase to count as healthy. */
  readonly health: Readonly<Record<Phase, readonly string[]>>;
  readonly router: RouterDeclaration | null;
  readonly hooks: { readonly preflight?: Hook; readonly backup?: Hook; readonly migrate?: Hook; readonly restore?: Hook };
  /** Paths kept by the backup, beside configuration, router and host state, which always are. */
  readonly backupPaths: readonly string[];
  readonly data: DataDeclaration;
  /** The oldest release that this one can be applied over; null accepts every release. */
  readonly updateFrom: { readonly releases: readonly ReleaseId[] } | null;
  /** Where the setup phase says whether it is complete; null where the product has nothing to say, and a promotion does not ask. */
  readonly setup: SetupDeclaration | null;
  readonly canary: CanaryDeclaration;
  /** Blue-green: how long the old colour stays up after the flip, for a fast way back. Seconds. */
  readonly keepWarmSeconds: number;
  /** How the router ends TLS once the host has a certificate; null: plain HTTP. */
  readonly certificates: CertificateDeclaration | null;
  /** How many releases and backups stay on the host. The active and the last good release are never counted or pruned. */
  readonly retention: { readonly releases: number; readonly backups: number };
  /** How long an instance has to stay healthy on the new release before the next one is touched. */
  readonly bakeSeconds: number;
}

export interface Service {
  readonly name: ServiceName;
  /** argv; the first word is looked up in the release's directory, then on the PATH. */
  readonly command: readonly string[];
  /** Short names, without the service's: `a` for `api-a`. */
  readonly instances: Readonly<Record<Phase, readonly string[]>>;
  /** Loopback port of each instance, by short name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly env: Readonly<Record<string, string>>;
  readonly stopSignal: 'SIGTERM' | 'SIGINT' | 'SIGQUIT';
  /** After the stop signal, how long until SIGKILL. */
  readonly stopSeconds: number;
  /** How long in-flight work may take to end once the instance is out of the router. */
  readonly drainSeconds: number;
  /** How long a started instance may take until it is ready. */
  readonly startSeconds: number;
  readonly reloadSignal: 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | null;
  /** Lower numbers are started and updated first; the web front is last. */
  readonly order: number;
  readonly probes: { readonly live: string; readonly ready: string; readonly detailed?: string };
}

export interface Probe {
  readonly name: string;
  /** `service`: asked of each instance on its own port. `router`: asked through the router, as a client would. */
  readonly target: { readonly service: ServiceName } | 'router';
  readonly path: string;
  readonly expectStatus: number;
  /** A field of the JSON answer that must equal the release id; null where the answer does not tell. */
  readonly releaseIdField: string | null;
  /** Text that the body must contain; null where it is not read. */
  readonly expectBody: string | null;
  readonly timeoutSeconds: number;
}

export interface RouterDeclaration {
  /** The port that clients use. */
  readonly listen: number;
  /** First match by the longest prefix. */
  readonly routes: readonly { readonly path: string; readonly service: ServiceName }[];
  readonly nginx: {
    /** A file in the bundle with the `location` blocks; null has Fairlead write them from `routes`. */
    readonly include: string | null;
    /** Name of the nginx upstream of each routed service. */
    readonly upstreams: Readonly<Record<string, string>>;
  };
}

export interface CertificateDeclaration {
  /** The host names of the certificate; empty: the name of the public origin that the host was given when it was set up. */
  readonly names: readonly string[];
  /** Where the router ends TLS; `router.listen` stays plain HTTP. */
  readonly ports: readonly number[];
  /** Whether plain HTTP is answered with a redirect to https. Challenges of certificate authorities never are. */
  readonly redirect: boolean;
  /** Strict-Transport-Security (RFC 6797); null sends none. */
  readonly hsts: { readonly maxAgeSeconds: number; readonly includeSubDomains: boolean; readonly preload: boolean } | null;
}

export interface Hook {
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
}

export interface DataDeclaration {
  readonly schemaGeneration: number;
  /** The oldest schema generation that this release can still read. */
  readonly readsFrom: number;
  /** What a rollback past `migrate` does: `keep` where the old release reads the new rows, `restore` puts the backup back, `stop` strands. */
  readonly onRollback: 'keep' | 'restore' | 'stop';
}

/**
 * The setup API's contract: `GET path` of the setup instance of `service` answers with `complete` (boolean), `missing` (a list of what has still to be
 * done, in words for people), and may give `publicOrigin` and `environment`, the variables of the installed runtime.
 */
export interface SetupDeclaration {
  readonly service: ServiceName;
  readonly path: string;
  readonly timeoutSeconds: number;
}

/** How a release is tried on a part of the traffic, and what counts as bad. */
export interface CanaryDeclaration {
  /** Percent of the requests, rising; after the last of them come all. */
  readonly tiers: readonly number[];
  /** How long each tier is held. */
  readonly holdSeconds: number;
  /** With fewer requests to the new release nothing is judged: the tier goes on. */
  readonly minRequests: number;
  /** How long a tier waits for that many before it gives up. Seconds. */
  readonly dataWaitSeconds: number;
  /** Share of failed requests, 0 to 1. */
  readonly maxErrorRate: number;
  /** The new release's 95th percentile beside the old one's; null does not compare. */
  readonly maxLatencyRatio: number | null;
  /** A Prometheus query whose single value must be at most `max`; null asks none. */
  readonly metric: { readonly url: string; readonly query: string; readonly max: number } | null;
}

/** One instance of a service in a phase, with everything that its manager needs to run it. */
export interface InstanceDeclaration {
  readonly name: InstanceName;
  readonly service: Service;
  /** The short name, `a` in `api-a`. */
  readonly short: string;
  readonly port: number;
}

const greenSuffix = '-green';
/** Where the manifest gives the green twin no port of its own. */
const greenPortOffset = 1_000;

export const colourOf = (name: string): Colour => (name.endsWith(greenSuffix) ? 'green' : 'blue');
export const isReservedShort = (short: string): boolean => short.endsWith(greenSuffix);

function declare(service: Service, short: string, colour: Colour): InstanceDeclaration {
  const coloured = colour === 'green' ? `${short}${greenSuffix}` : short;
  const port = service.ports[coloured] ?? (service.ports[short] ?? 0) + (colour === 'green' ? greenPortOffset : 0);
  return { name: `${service.name}-${coloured}` as InstanceName, service, short: coloured, port };
}

/** The instances of a phase in the order in which they are started and updated. */
export function instancesOf(manifest: ProductManifest, phase: Phase, colour: Colour = 'blue'): InstanceDeclaration[] {
  return [...manifest.services]
    .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1))
    .flatMap((service) => service.instances[phase].map((short) => declare(service, short, colour)));
}

/** The instance's declaration, or undefined where no phase has one of that name. */
export function findInstance(manifest: ProductManifest, name: InstanceName): InstanceDeclaration | undefined {
  const colour = colourOf(name);
  return [...instancesOf(manifest, 'installed', colour), ...instancesOf(manifest, 'setup', colour)].find((instance) => instance.name === name);
}
