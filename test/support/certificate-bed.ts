import { setTimeout as pause } from 'node:timers/promises';
import type { HostDependencies, RunRef } from '../../activities/host/dependencies.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { createCertificateStore } from '../../src/adapters/certificate-store/filesystem.ts';
import { createHostFiles } from '../../src/adapters/host-files/filesystem.ts';
import { createHostStore } from '../../src/adapters/host-store/filesystem.ts';
import { createOriginProbe } from '../../src/adapters/origin-probe/http.ts';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { targetsOf, type Served } from '../../src/domain/certificate/served.ts';
import { FairleadError, type Reason } from '../../src/domain/failure.ts';
import type { CertificateName, CertificateVersion, HostId, InstanceName, ReleaseId, RunId, ServiceName } from '../../src/domain/ids.ts';
import type { CertificateDeclaration } from '../../src/domain/product/manifest.ts';
import { asFairleadError } from '../../src/domain/system-failure.ts';
import { stagePair, type IssuedPair } from './certificates.ts';
import { eventually } from './eventually.ts';
import { createHostRoot, freePorts } from './host-root.ts';
import { sampleManifest, sampleState } from './host-samples.ts';
import { product, startUpstream, type RouterKind } from './router-bed.ts';

export const certificateNames = ['app.example.test', 'api.example.test'];
export const certificate = 'app.example.test' as CertificateName;

export interface Renewal {
  /** `refused`: before the switch. */
  readonly outcome: 'succeeded' | 'refused' | 'rolled_back' | 'stranded';
  readonly reason: Reason | null;
  readonly backupPath: string | null;
  readonly served: readonly Served[];
}

/** When something is done to the host in the middle of a renewal. */
export type Moment = 'checkCertificate' | 'backUpCertificate' | 'switchCertificate' | 'testRouter' | 'reloadRouter' | 'proveServed' | 'commitCertificate';

/**
 * A host with real files, a real router with two TLS ports, and two instances; only its releases are made up.
 * @param root a directory that is there already; else one is made
 */
export async function createCertificateBed(kind: RouterKind, { declared = {}, root: given }: { declared?: Partial<CertificateDeclaration>; root?: string } = {}) {
  const host = given === undefined ? await createHostRoot() : await createHostRoot(given);
  const { root } = host;
  const [plain, ...ports] = (await freePorts(3)) as [number, number, number];
  const upstreams = await Promise.all(['api-a', 'web-a'].map((name) => startUpstream(name)));
  const manifest = sampleManifest({
    releaseId: 'r1' as ReleaseId,
    router: { listen: plain, routes: [{ path: '/api/', service: 'api' as ServiceName }, { path: '/', service: 'web' as ServiceName }], nginx: { include: null, upstreams: { api: 'shop_api', web: 'shop_web' } } },
    certificates: { names: [], ports, redirect: true, hsts: null, ...declared },
  });
  const resolved = new Map<string, readonly string[]>();
  const dependencies = {
    host: 'h1' as HostId,
    root,
    ports: 'manifest',
    routerAddress: '127.0.0.1',
    store: createHostStore(root),
    files: createHostFiles(root),
    releases: { current: async () => 'r1' as ReleaseId, readManifest: async () => manifest },
    router: kind.create(root),
    certificates: createCertificateStore(root),
    tls: createTlsProbe(),
    origins: createOriginProbe({ resolve: async (name) => resolved.get(name) ?? [] }),
    now: () => new Date(),
  } as unknown as HostDependencies;
  const sample = sampleState();
  await dependencies.files.prepareFolders(product);
  const instances = Object.fromEntries(upstreams.map(({ name, port }) => [name as InstanceName, { service: name.split('-')[0] as ServiceName, port, releaseId: 'r1' as ReleaseId, admitted: true, startedBy: null }]));
  await dependencies.store.writeState({ ...sample, instances, router: { address: '127.0.0.1', port: plain } });
  const { activities } = createHostActivities(dependencies);
  const context = { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 };
  const targets = targetsOf({ names: certificateNames, ports }, '127.0.0.1');
  let runs = 0;

  /** The steps of a renewal in their order, each taken twice, with the way back where one fails after the switch began. */
  async function renew(pair: IssuedPair, { change = {}, before = {}, names = certificateNames }: { change?: Partial<IssuedPair>; before?: Partial<Record<Moment, (version: CertificateVersion) => unknown>>; names?: readonly string[] } = {}): Promise<Renewal> {
    runs += 1;
    const run: RunRef = { runId: `run-${runs}` as RunId, host: 'h1' as HostId, product, fence: runs };
    const command = { run, direction: 'do', certificate } as const;
    const undo = { run, direction: 'undo', certificate } as const;
    const directory = await stagePair(`${root}/staged/${runs}`, pair, change);
    let [switching, backupPath] = [false, null as string | null];
    try {
      const { version } = await activities.stageCertificate({ ...command, directory }, context);
      const at = async (moment: Moment): Promise<void> => void (await before[moment]?.(version));
      await at('checkCertificate');
      await activities.checkCertificate({ ...command, version, names }, context);
      await at('backUpCertificate');
      backupPath = (await activities.backUpCertificate(command, context)).path;
      const reason: Reason = { class: 'orchestrator', code: 'run_died', message: 'the run died' };
      await activities.armCertificateRecovery({ ...command, failedStep: 'none', stuckAt: 'none', undone: [], reason }, context);
      switching = true;
      await at('switchCertificate');
      await activities.switchCertificate({ ...command, version, names }, context);
      await activities.switchCertificate({ ...command, version, names }, context);
      await at('testRouter');
      await activities.testRouter(command, context);
      await at('reloadRouter');
      const { workersBefore } = await activities.reloadRouter(command, context);
      await at('proveServed');
      const { served } = await activities.proveServed({ ...command, version, workersBefore }, context);
      await at('commitCertificate');
      await activities.commitCertificate(command, context);
      await activities.commitCertificate(command, context);
      await activities.pruneCertificates(command, context);
      return { outcome: 'succeeded', reason: null, backupPath, served };
    } catch (thrown) {
      const { reason } = thrown instanceof FairleadError ? thrown : asFairleadError(thrown, 'renew');
      if (!switching) return { outcome: 'refused', reason, backupPath, served: [] };
      try {
        const { version } = await activities.restoreCertificate(undo, context);
        await activities.reloadRouter(undo, context);
        const { served } = await activities.proveServed({ ...undo, version, workersBefore: null }, context);
        return { outcome: 'rolled_back', reason, backupPath, served };
      } catch (error) {
        return { outcome: 'stranded', reason: asFairleadError(error, 'undo').reason, backupPath, served: [] };
      }
    }
  }

  return {
    root,
    plain,
    ports,
    targets,
    activities,
    dependencies,
    resolved,
    context,
    renew,
    run: (): RunRef => ({ runId: `run-${runs}` as RunId, host: 'h1' as HostId, product, fence: runs }),
    active: async () => (await dependencies.certificates.inspect(product, certificate)).active,
    /** The plain router, as the setup phase has it. */
    async serve(): Promise<void> {
      await activities.reloadRouter({ run: { runId: 'run-0' as RunId, host: 'h1' as HostId, product, fence: 0 }, direction: 'do', certificate }, context);
    },
    async end(): Promise<void> {
      for (const upstream of upstreams) upstream.process.kill('SIGKILL');
      await host.end();
    },
  };
}

/** How long places may differ after a watch was stopped. */
const lastRoundsMs = 10_000;

/**
 * A handshake with every target every 100 ms, until `stop`, which may be called again. `stop` tells every handshake that failed, which certificates were
 * seen at each place, by when they were first seen, and which was the last: in rounds after the `stop`, until all places have the same one.
 * While nginx reloads, old and new workers accept side by side for a moment.
 */
export function watchHandshakes(targets: ReturnType<typeof targetsOf>) {
  // A stall of the machine is no failed handshake: as long as clients of a load wait.
  const probe = createTlsProbe({ limitMs: 30_000 });
  const placeOf = (target: (typeof targets)[number]): string => `${targets[0]?.port === target.port ? 'first' : 'second'} ${target.name}`;
  const seen = new Map<string, string[]>();
  const last = new Map<string, string>();
  const failed: string[] = [];
  let [count, going] = [0, true];
  let stoppedAt = 0;
  /** Old workers of nginx that still accept for a moment are no last word: then one more round. */
  const isLast = (begunAt: number): boolean => !going && begunAt > stoppedAt && (new Set(last.values()).size === 1 || begunAt - stoppedAt > lastRoundsMs);
  const work = (async () => {
    for (let begunAt = performance.now(); !isLast(begunAt); ) {
      begunAt = performance.now();
      const rounds = targets.map(async (target) => {
        const { chain, error } = await probe.handshake(target);
        count += 1;
        const place = placeOf(target);
        if (error !== null) failed.push(`${place}: ${error}`);
        const list = seen.get(place) ?? [];
        if (chain[0] !== undefined) last.set(place, chain[0]);
        if (chain[0] !== undefined && !list.includes(chain[0])) list.push(chain[0]);
        seen.set(place, list);
      });
      await Promise.all([...rounds, pause(100)]);
    }
  })();
  return {
    async stop(): Promise<{ readonly failed: readonly string[]; readonly count: number; readonly seen: Readonly<Record<string, readonly string[]>>; readonly last: readonly string[] }> {
      if (going) stoppedAt = performance.now();
      going = false;
      await work;
      return { failed, count, seen: Object.fromEntries(seen), last: [...new Set(last.values())] };
    },
    /** Waits until every place has shown the certificate. */
    async met(fingerprint: string): Promise<void> {
      await eventually(`every place shows ${fingerprint}`, () => targets.every((target) => seen.get(placeOf(target))?.includes(fingerprint)), 60_000);
    },
  };
}
