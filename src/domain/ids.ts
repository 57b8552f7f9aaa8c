/**
 * Identifiers. Each kind is a type of its own, so that the compiler refuses a release where a host is meant.
 * They are plain strings at run time and travel through JSON unchanged.
 */
declare const kind: unique symbol;
type Id<Kind extends string> = string & { readonly [kind]: Kind };

/** Name of a product, for example `noderax-platform`: a folder name below `/opt`, `/etc` and `/var/lib`. */
export type ProductName = Id<'product'>;
/** Fairlead itself, as a product of its own. */
export const ownProduct = 'fairlead' as ProductName;
/** One immutable build of a product. The only thing that update decisions compare. */
export type ReleaseId = Id<'release'>;
/** A machine with an agent. Its task queue is `host:<hostId>`. */
export type HostId = Id<'host'>;
/** One workflow execution on a host or a fleet; equal to the Temporal run id of its first execution. */
export type RunId = Id<'run'>;
/** One release on its way across many hosts. */
export type RolloutId = Id<'rollout'>;
/** A service of a product, for example `api`. */
export type ServiceName = Id<'service'>;
/** An instance with its service's name in front, for example `api-a`: names the unit, the conf file and the log. */
export type InstanceName = Id<'instance'>;
/** A certificate of a product on a host: after the first of its host names; `wildcard` stands for a star. A folder name. */
export type CertificateName = Id<'certificate'>;
/** One pair of key and certificate with its chain; made from what the pair holds, so that the same pair has the same version. */
export type CertificateVersion = Id<'certificate-version'>;
/** SHA-256 in 64 lower-case hexadecimal digits. */
export type Sha256 = Id<'sha256'>;

/** What a product, service, instance or host name may look like: it becomes a file name and a unit name. */
export const namePattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
/** What a release id may look like: it becomes a directory name below `releases/`. */
export const releaseIdPattern = /^[A-Za-z0-9]([A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?$/;
export const certificateVersionPattern = /^[0-9a-f]{16}$/;
export const sha256Pattern = /^[0-9a-f]{64}$/;

/** The Temporal task queue of a host's agent. */
export const hostTaskQueue = (host: HostId): string => `host:${host}`;

/** The workflow id of every mutating run on a host. Temporal lets one run of an id be open: this is the host's lock. */
export const hostWorkflowId = (host: HostId, product: ProductName): string => `host/${host}/${product}`;

/** The workflow id under which requests to restart a service are gathered. Only the host's own id changes anything. */
export const restartWorkflowId = (host: HostId, product: ProductName, service: ServiceName): string => `restart/${host}/${product}/${service}`;

/** The workflow id under which a certificate is got: hours may pass, in which the host is free for other runs. Only the host's own id switches anything. */
export const certificateWorkflowId = (host: HostId, product: ProductName): string => `certificate/${host}/${product}`;
/** The workflow id under which the certificate that a host has got is brought to the other hosts that serve it. */
export const certificateDistributionWorkflowId = (host: HostId, product: ProductName): string => `certificate-distribution/${host}/${product}`;

/** The workflow id under which a bundle is brought to a host ahead of its update; beside the host's own id, since it changes nothing that runs. */
export const prefetchWorkflowId = (host: HostId, product: ProductName): string => `prefetch/${host}/${product}`;

/** What ids of workflows, and subjects of the audit, begin with where a host comes next: those above, and the host itself. */
export const subjectsOfHosts = ['host', 'restart', 'certificate', 'certificate-distribution', 'prefetch'] as const;

/** The task queue of the control worker. */
export const controlTaskQueue = 'control';

/** A rollout's id of our own making, the same for the same digest: a version-8 UUID (RFC 9562). @param hex a SHA-256, in hexadecimal digits */
export const rolloutIdOfDigest = (hex: string): RolloutId => `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}` as RolloutId;
/** The workflow id of a rollout; its shards have theirs below it. */
export const rolloutWorkflowId = (rollout: RolloutId): string => `rollout/${rollout}`;
