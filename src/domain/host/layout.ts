import type { CertificateName, InstanceName, ProductName, ReleaseId, RunId } from '../ids.ts';

/** Where everything of one product lies on a host. Pure: joins names, touches nothing. */
export interface HostLayout {
  readonly productDir: string;
  readonly releasesDir: string;
  readonly currentLink: string;
  readonly configDir: string;
  readonly envFile: string;
  readonly stateRoot: string;
  /** Fairlead's own part of the state root; 0700. */
  readonly fairleadDir: string;
  /** Accounts of certificate authorities, and the certificates. */
  readonly acmeDir: string;
  readonly certificatesDir: string;
  readonly stateFile: string;
  readonly intentFile: string;
  readonly fenceFile: string;
  readonly issuingFenceFile: string;
  readonly downloadsDir: string;
  readonly stagingDir: string;
  readonly backupsDir: string;
  readonly recoveryDir: string;
  /** Dead-men and successors of the agent: docs/decisions/0017-fairlead-updates-itself.md. */
  readonly handoverDir: string;
  readonly logsDir: string;
  readonly runtimeDir: string;
  readonly routerDir: string;
  releaseDir(releaseId: ReleaseId): string;
  backupDir(runId: RunId): string;
  recoveryRecord(runId: RunId): string;
  recoveryScript(runId: RunId): string;
  /** The symlink to the pair that is served. */
  certificateLink(certificate: CertificateName): string;
  configFile(instance: InstanceName): string;
  logFile(instance: InstanceName): string;
}

/**
 * @param root prefix of every path: `/` on a real host, a directory of its own for a development host. Absolute, without a trailing slash unless `/`.
 */
export function hostLayout(root: string, product: ProductName): HostLayout {
  const base = root === '/' ? '' : root;
  const productDir = `${base}/opt/${product}`;
  const configDir = `${base}/etc/${product}`;
  const stateRoot = `${base}/var/lib/${product}`;
  const fairleadDir = `${stateRoot}/fairlead`;
  return {
    productDir,
    releasesDir: `${productDir}/releases`,
    currentLink: `${productDir}/current`,
    configDir,
    envFile: `${configDir}/.env.production`,
    stateRoot,
    fairleadDir,
    acmeDir: `${stateRoot}/acme`,
    certificatesDir: `${stateRoot}/acme/certificates`,
    stateFile: `${fairleadDir}/state.json`,
    intentFile: `${fairleadDir}/intent.json`,
    fenceFile: `${fairleadDir}/fence.json`,
    issuingFenceFile: `${fairleadDir}/issuing-fence.json`,
    downloadsDir: `${fairleadDir}/downloads`,
    // Beside the releases, so that the last step of an extraction is a rename within one file system.
    stagingDir: `${productDir}/.staging`,
    backupsDir: `${fairleadDir}/backups`,
    recoveryDir: `${fairleadDir}/recovery`,
    handoverDir: `${fairleadDir}/handover`,
    logsDir: `${base}/var/log/${product}`,
    runtimeDir: `${fairleadDir}/run`,
    routerDir: `${fairleadDir}/router`,
    releaseDir: (releaseId) => `${productDir}/releases/${releaseId}`,
    backupDir: (runId) => `${fairleadDir}/backups/${runId}`,
    recoveryRecord: (runId) => `${fairleadDir}/recovery/${runId}.json`,
    recoveryScript: (runId) => `${fairleadDir}/recovery/${runId}.sh`,
    certificateLink: (certificate) => `${stateRoot}/acme/certificates/${certificate}/current`,
    configFile: (instance) => `${configDir}/${instance}.conf`,
    logFile: (instance) => `${base}/var/log/${product}/${instance}.log`,
  };
}

/** The file whose presence makes a release directory trusted. Written last, removed first. */
export const completeMark = '.fairlead-complete.json';

/** Host-wide configuration of the agent itself. */
export const agentLayout = (root: string) => {
  const base = root === '/' ? '' : root;
  return {
    configDir: `${base}/etc/fairlead`,
    trustedPublishersDir: `${base}/etc/fairlead/publishers`,
    agentKeyFile: `${base}/etc/fairlead/agent.key`,
    stateDir: `${base}/var/lib/fairlead`,
    lockFile: `${base}/var/lib/fairlead/agent.lock`,
    inFlightDir: `${base}/var/lib/fairlead/in-flight`,
    /** The private half of the key that certificates are sealed for; 0600. */
    sealingKeyFile: `${base}/var/lib/fairlead/sealing.key`,
    /** Where it is there: the only keys that this host seals a private key for, each in a line as `HOST KEY`. */
    sealingPeersFile: `${base}/etc/fairlead/sealing-peers`,
  } as const;
};
