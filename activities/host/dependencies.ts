import type { HostId, ProductName, ReleaseId, RunId } from '../../src/domain/ids.ts';
import type { ArtifactSource } from '../../src/ports/artifact-source.ts';
import type { BackupStore } from '../../src/ports/backup-store.ts';
import type { BundleVerifier } from '../../src/ports/bundle-verifier.ts';
import type { IssuerConfiguration } from '../../src/domain/certificate/request.ts';
import type { CertificateIssuer } from '../../src/ports/certificate-issuer.ts';
import type { CertificateStore } from '../../src/ports/certificate-store.ts';
import type { CommandRunner } from '../../src/ports/command-runner.ts';
import type { Handover } from '../../src/ports/handover.ts';
import type { HealthProbe } from '../../src/ports/health-probe.ts';
import type { HostFiles } from '../../src/ports/host-files.ts';
import type { HostStore } from '../../src/ports/host-store.ts';
import type { MetricSource } from '../../src/ports/metric-source.ts';
import type { OriginProbe } from '../../src/ports/origin-probe.ts';
import type { ReleaseStore } from '../../src/ports/release-store.ts';
import type { Router } from '../../src/ports/router.ts';
import type { PairSeal } from '../../src/ports/pair-seal.ts';
import type { SetupSource } from '../../src/ports/setup-source.ts';
import type { ServiceManager } from '../../src/ports/service-manager.ts';
import type { TlsProbe } from '../../src/ports/tls-probe.ts';

/** Everything that the activities of a host act through. */
export interface HostDependencies {
  readonly host: HostId;
  /** Prefix of every path; `/` on a real host. */
  readonly root: string;
  /** `manifest`: the ports that the manifest names. `free`: any, for development hosts that share a machine. */
  readonly ports: 'manifest' | 'free';
  /** Where the router listens for clients. */
  readonly routerAddress: string;
  readonly store: HostStore;
  readonly files: HostFiles;
  readonly releases: ReleaseStore;
  readonly backups: BackupStore;
  readonly artifacts: ArtifactSource;
  readonly verifier: BundleVerifier;
  readonly services: ServiceManager;
  /** How the agent replaces itself; asked only where the product is Fairlead itself. */
  readonly handover: Handover;
  readonly router: Router;
  readonly probe: HealthProbe;
  readonly setup: SetupSource;
  readonly metrics: MetricSource;
  readonly certificates: CertificateStore;
  /** The issuers of a product. Made when they are asked for: for weeks nobody does, and they need memory. */
  readonly issuers: (product: ProductName) => Promise<Readonly<Record<IssuerConfiguration['kind'], CertificateIssuer>>>;
  /** How pairs travel between hosts. */
  readonly seal: PairSeal;
  readonly tls: TlsProbe;
  readonly origins: OriginProbe;
  readonly commands: CommandRunner;
  readonly now: () => Date;
}

/** Which run a command belongs to. The host refuses one whose fence is older than what it has seen. */
export interface RunRef {
  readonly runId: RunId;
  readonly host: HostId;
  readonly product: ProductName;
  readonly fence: number;
}

/** The input of every activity that may change the host. */
export interface Command {
  readonly run: RunRef;
  /**
   * `do` on the way forward, `undo` on the way back. `recover` is a person's way back on the host itself: there an instance is brought up
   * whether its twin serves or not, because more than one may be down.
   */
  readonly direction: 'do' | 'undo' | 'recover';
}

export interface ReleaseCommand extends Command {
  readonly releaseId: ReleaseId;
}
