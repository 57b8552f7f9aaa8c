import { createHostActivities } from '../../../activities/host/index.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { createHttpArtifactSource } from '../../adapters/artifact-source/http.ts';
import { createBackupStore } from '../../adapters/backup-store/filesystem.ts';
import { createBundleVerifier } from '../../adapters/bundle-verifier/filesystem.ts';
import { createCertificateStore } from '../../adapters/certificate-store/filesystem.ts';
import { createHandover } from '../../adapters/handover/host-side.ts';
import { createCopyTree } from '../../adapters/files/copy-tree.ts';
import { createSyncTree } from '../../adapters/files/sync-tree.ts';
import { createPairSeal } from '../../adapters/pair-seal/filesystem.ts';
import { createHttpProbe } from '../../adapters/health-probe/http.ts';
import { createHostFiles } from '../../adapters/host-files/filesystem.ts';
import { createHostStore } from '../../adapters/host-store/filesystem.ts';
import { createCommandRunner } from '../../adapters/process/index.ts';
import { createOutgoingGet } from '../../adapters/outgoing/get.ts';
import { createPrometheusSource } from '../../adapters/metric-source/prometheus.ts';
import { createOriginProbe } from '../../adapters/origin-probe/http.ts';
import { createReleaseStore } from '../../adapters/release-store/filesystem/index.ts';
import { createExtendedReleaseStore } from '../../adapters/release-store/with-extras.ts';
import { createEmbeddedRouter } from '../../adapters/router/embedded/index.ts';
import { createNginxRouter } from '../../adapters/router/nginx/index.ts';
import { locateNginx } from '../../adapters/router/nginx/locate.ts';
import { createComposeServiceManager } from '../../adapters/service-manager/compose/index.ts';
import { createEmbeddedServiceManager } from '../../adapters/service-manager/embedded/index.ts';
import { createOpenRcServiceManager } from '../../adapters/service-manager/openrc/index.ts';
import { createSystemdServiceManager } from '../../adapters/service-manager/systemd/index.ts';
import { createHttpSetupSource } from '../../adapters/setup-source/http.ts';
import { createTlsProbe } from '../../adapters/tls-probe/node.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostId } from '../../domain/ids.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { CommandRunner } from '../../ports/command-runner.ts';
import type { Router } from '../../ports/router.ts';
import type { ServiceManagerKind } from '../../domain/host/state.ts';
import type { ServiceManager } from '../../ports/service-manager.ts';

export interface HostOptions {
  readonly hostId: HostId;
  readonly root: string;
  readonly ports: 'manifest' | 'free';
  readonly router: 'auto' | 'nginx' | 'embedded';
  readonly services: ServiceManagerKind;
  /** With services `compose`: what instances run in whose release carries no image; null takes the image in which they ran last. */
  readonly composeImage?: string | null;
  readonly routerAddress: string;
  readonly apiUrl: string;
  readonly readKey: () => Promise<string>;
  /** Addresses and networks that metrics may be asked at although they are refused otherwise. */
  readonly outgoingAllow?: readonly string[];
  /** Takes the host's secrets out of what its hooks print; left out: nothing is. */
  readonly conceal?: (text: string) => Promise<string>;
  /** What the dead-man of an update of Fairlead itself gives a run beyond its steps. Seconds; 60 where nobody says. */
  readonly deadManSlackSeconds?: number;
  /** argv that starts the embedded router's process. */
  readonly routerEntry: readonly string[];
}

/** The one place of the agent that names concrete things: what a host acts through. */
export async function composeHost(options: HostOptions): Promise<HostDependencies> {
  const { hostId, root, ports, routerAddress, apiUrl, readKey, conceal } = options;
  const commands = conceal ? concealingHooks(createCommandRunner(), conceal) : createCommandRunner();
  const syncTree = createSyncTree(commands);
  const store = createHostStore(root);
  return {
    host: hostId,
    root,
    ports,
    routerAddress,
    store,
    files: createHostFiles(root),
    releases: createExtendedReleaseStore(createReleaseStore({ root, syncTree }), store),
    backups: createBackupStore({ root, syncTree, copyTree: createCopyTree(commands) }),
    artifacts: createHttpArtifactSource({ apiUrl, host: hostId, readKey }),
    verifier: createBundleVerifier(root),
    services: createServiceManager(options, commands),
    handover: createHandover({ root, services: options.services, commands, ...(options.deadManSlackSeconds === undefined ? {} : { slackSeconds: options.deadManSlackSeconds }) }),
    router: await chooseRouter(options, commands),
    probe: createHttpProbe(),
    setup: createHttpSetupSource(),
    metrics: createPrometheusSource(createOutgoingGet(options.outgoingAllow)),
    certificates: createCertificateStore(root),
    issuers: memoized(async (product) => {
      const { createCertificateIssuers } = await import('../../adapters/certificate-issuer/index.ts');
      return createCertificateIssuers({ directory: hostLayout(root, product).acmeDir, commands });
    }),
    seal: createPairSeal(root, hostId),
    tls: createTlsProbe(),
    origins: createOriginProbe(),
    commands,
    now: () => new Date(),
  };
}

/** What a hook prints becomes a note or evidence of a run. Other programs are read by Fairlead itself, which needs what they say. */
const concealingHooks = (commands: CommandRunner, conceal: (text: string) => Promise<string>): CommandRunner => ({
  async run(argv, options) {
    const result = await commands.run(argv, options);
    if (options.only?.['FAIRLEAD_HOOK'] === undefined) return result;
    return { ...result, stdout: await conceal(result.stdout), stderr: await conceal(result.stderr), summary: await conceal(result.summary) };
  },
});

function createServiceManager({ root, services, composeImage = null }: HostOptions, commands: CommandRunner): ServiceManager {
  switch (services) {
    case 'embedded':
      return createEmbeddedServiceManager({ root });
    case 'systemd':
      return createSystemdServiceManager({ root, commands });
    case 'openrc':
      return createOpenRcServiceManager({ root, commands });
    case 'compose':
      return createComposeServiceManager({ root, commands, image: composeImage, dockerHost: process.env['DOCKER_HOST'] || null });
  }
}

async function chooseRouter({ root, router, routerAddress, routerEntry }: HostOptions, commands: CommandRunner): Promise<Router> {
  const nginxPath = router === 'embedded' ? null : await locateNginx();
  if (nginxPath) return createNginxRouter({ root, commands, nginxPath, listenAddress: routerAddress });
  if (router === 'nginx') {
    throw new FairleadError({
      class: 'host',
      code: 'nginx_missing',
      message: 'This host is set to use nginx as its router, and there is no nginx on the PATH or in /usr/sbin.',
      hint: 'Install it (apt-get install nginx-light), or set FAIRLEAD_ROUTER=embedded.',
    });
  }
  return createEmbeddedRouter({ root, entry: routerEntry, listenAddress: routerAddress });
}

/** One of each, made when it is first asked for. */
function memoized<Key, Value>(make: (key: Key) => Promise<Value>): (key: Key) => Promise<Value> {
  const made = new Map<Key, Promise<Value>>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

export { createHostActivities };
