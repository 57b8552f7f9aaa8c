import type { HostDependencies } from '../../activities/host/dependencies.ts';
import { createBackupStore } from '../../src/adapters/backup-store/filesystem.ts';
import { createBundleVerifier } from '../../src/adapters/bundle-verifier/filesystem.ts';
import { createCertificateStore } from '../../src/adapters/certificate-store/filesystem.ts';
import { createHandover } from '../../src/adapters/handover/host-side.ts';
import { createCopyTree } from '../../src/adapters/files/copy-tree.ts';
import { createSyncTree } from '../../src/adapters/files/sync-tree.ts';
import { createHostFiles } from '../../src/adapters/host-files/filesystem.ts';
import { createHostStore } from '../../src/adapters/host-store/filesystem.ts';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createOriginProbe } from '../../src/adapters/origin-probe/http.ts';
import { createPairSeal } from '../../src/adapters/pair-seal/filesystem.ts';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { bringUp } from '../../src/runtime/agent/boot.ts';
import { createFakeMachine, type FakeMachine } from './fake-machine.ts';

const nothing = (): void => undefined;
const strict = {
  info: nothing,
  warn: nothing,
  error(fields: object, message: string): void {
    throw new Error(`${message}: ${JSON.stringify(fields)}`);
  },
};

/** The agent of a host whose files are real and below `root`, and whose processes are not: composed anew for every start, as after a crash, and brought up. */
export async function startFileHost(root: string, machine: FakeMachine = createFakeMachine(), artifacts?: HostDependencies['artifacts']): Promise<HostDependencies> {
  const commands = createCommandRunner();
  const syncTree = createSyncTree(commands);
  const { services, router, probe } = machine;
  const host: HostDependencies = {
    host: 'h1' as HostId,
    root,
    ports: 'manifest',
    routerAddress: '127.0.0.1',
    store: createHostStore(root),
    files: createHostFiles(root),
    releases: createReleaseStore({ root, syncTree }),
    backups: createBackupStore({ root, syncTree, copyTree: createCopyTree(commands) }),
    artifacts: artifacts ?? { download: async () => Promise.reject(new Error('this host has no control to download from')) },
    verifier: createBundleVerifier(root),
    certificates: createCertificateStore(root),
    seal: createPairSeal(root, 'h1' as HostId),
    issuers: async () => Promise.reject(new Error('this host has no issuers')),
    tls: createTlsProbe(),
    origins: createOriginProbe(),
    commands,
    now: () => new Date(),
    services,
    handover: createHandover({ root, services: 'embedded', commands }),
    router,
    probe,
    setup: { read: async () => ({ complete: true, missing: [], publicOrigin: null, environment: {} }) },
    metrics: { query: async () => ({ value: null, why: null }) },
  };
  await bringUp(host, strict);
  return host;
}
