import { covers } from '../../src/domain/certificate/host-name.ts';
import { briefAnswer, parseOrigin, sightProblem, type OriginSight } from '../../src/domain/certificate/origin.ts';
import { pairProblem, type CertificateInspection, type PairFacts } from '../../src/domain/certificate/pair.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { HostState, HostTls } from '../../src/domain/host/state.ts';
import type { CertificateName, CertificateVersion, ProductName, RunId } from '../../src/domain/ids.ts';
import type { ProductManifest } from '../../src/domain/product/manifest.ts';
import type { CertificateBackup } from '../../src/ports/certificate-store.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies } from './dependencies.ts';
import { demandState, routerStateOf } from './instance-spec.ts';

export interface CertificateCommand extends Command {
  readonly certificate: CertificateName;
}
export interface CertificateVersionCommand extends CertificateCommand {
  readonly version: CertificateVersion;
  /** Every host name that the router serves with it. */
  readonly names: readonly string[];
}
export interface StageCertificateInput extends CertificateCommand {
  /** Where the issuer has put the pair. */
  readonly directory: string;
}
export interface CheckOriginInput extends Command {
  readonly origin: string;
  /** Further names of the certificate. */
  readonly names: readonly string[];
  /** Where the authority comes to: 80, unless a development host stands for a real one. Null skips it: DNS-01, or a host that cannot reach its own public address. */
  readonly httpPort: number | null;
}

/** What the parts of the host side of certificates share: the release that `current` names, and the router that follows the state. */
export function createCertificateGround({ root, store, releases, router, now }: HostDependencies) {
  async function stateOf(product: ProductName): Promise<HostState> {
    return demandState(await store.readState(product), product);
  }

  async function manifestOf(product: ProductName): Promise<ProductManifest> {
    const current = await releases.current(product);
    if (current !== null) return releases.readManifest(product, current);
    throw new FairleadError({ class: 'request', code: 'nothing_installed', message: `No release of ${product} is active on this host that a certificate could be served for.`, hint: 'Install the product first.' });
  }

  /** The router in the shape that the state describes. */
  async function wantedOf(product: ProductName, state: HostState) {
    const wanted = routerStateOf(root, state, await manifestOf(product));
    if (wanted) return wanted;
    throw new FairleadError({ class: 'request', code: 'router_undeclared', message: `The active release of ${product} declares no router: nothing serves a certificate.`, hint: 'Add router: and certificates: to fairlead.yaml.' });
  }

  /** @returns the state as it is now */
  async function writeTls(state: HostState, tls: HostTls | null, runId: RunId): Promise<HostState> {
    if (JSON.stringify(state.tls ?? null) === JSON.stringify(tls)) return state;
    const next = { ...state, tls, lastRunId: runId, updatedAt: now().toISOString() };
    await store.writeState(next);
    return next;
  }

  return { stateOf, manifestOf, wantedOf, writeTls, applyRouter: async (state: HostState) => router.apply(await wantedOf(state.product, state)) };
}

const demand = (problem: ConstructorParameters<typeof FairleadError>[0] | null): void => {
  if (problem !== null) throw new FairleadError(problem, { retryable: problem.code === 'origin_unresolved' });
};

export function createCertificateInspection({ certificates }: HostDependencies) {
  return {
    /** What certificates the host has of a product. Changes nothing; may be asked at any time and by anyone. */
    async inspectCertificates({ product }: { readonly product: ProductName }): Promise<{ readonly certificates: readonly CertificateInspection[] }> {
      return { certificates: await Promise.all((await certificates.list(product)).map((name) => certificates.inspect(product, name))) };
    },
  };
}

export function createCertificateActivities(dependencies: HostDependencies) {
  const { ports, store, files, certificates, origins, router } = dependencies;
  const { stateOf, manifestOf, writeTls, applyRouter } = createCertificateGround(dependencies);

  return {
    /**
     * Refuses an origin that no certificate could be had or served for: not https, with a path, on a port that is not served, with a name that does not lead here. For
     * the last, a challenge is put up and asked for as the authority will do. Nothing that serves is changed.
     */
    async checkPublicOrigin({ run, origin, names, httpPort }: CheckOriginInput, context: ActivityContext): Promise<{ readonly name: string; readonly sights: readonly OriginSight[] }> {
      const state = await stateOf(run.product);
      const declared = (await manifestOf(run.product)).certificates;
      const served = state.tls?.ports ?? declared?.ports ?? [443];
      // A development host takes any port, and stands for one that is met on 443.
      const parsed = parseOrigin(origin, ports === 'free' ? [443, ...served] : served);
      if ('problem' in parsed) throw new FairleadError(parsed.problem);
      if (httpPort === null) return { name: parsed.name, sights: [] };
      await applyRouter(state);
      const root = await router.challengeRoot(run.product);
      const sights: OriginSight[] = [];
      await files.withChallenge(root, async ({ path, text }) => {
        for (const name of new Set([parsed.name, ...names.filter((other) => !other.startsWith('*'))])) {
          const addresses = await origins.resolve(name);
          const answers = await Promise.all(
            addresses.map(async (address) => {
              const got = await origins.get({ address, port: httpPort, name, path }, context.cancel);
              if ('error' in got) return { address, answer: { error: got.error } };
              return got.status === 200 && got.body === text ? { address, answer: 'own' as const } : { address, answer: 'other' as const, got: briefAnswer(got) };
            }),
          );
          sights.push({ name, addresses, answers });
        }
      });
      context.cancel.throwIfAborted();
      for (const sight of sights) demand(sightProblem(sight, httpPort));
      return { name: parsed.name, sights };
    },

    /** Takes the pair from the issuer's folder into a version of its own. Nothing serves it yet. */
    async stageCertificate({ run, certificate, directory }: StageCertificateInput): Promise<PairFacts> {
      return certificates.stage(run.product, certificate, directory);
    },

    /** Refuses a version that must not be served, by what lies on the disk now: another key, missing names, not valid now, a chain that clients cannot follow. */
    async checkCertificate({ run, certificate, version, names }: CertificateVersionCommand): Promise<PairFacts> {
      const facts = await certificates.read(run.product, certificate, version);
      if (facts === null) throw new FairleadError({ class: 'host', code: 'certificate_version_broken', message: `Version ${version} of certificate ${certificate} is not there or not whole.`, hint: 'Nothing was switched. Stage the pair again.' });
      demand(pairProblem(facts, names, dependencies.now()));
      return facts;
    },

    /** A copy of the pair that is active before the run's switch. Its path goes into the intent of a run that is about nothing else. */
    async backUpCertificate({ run, certificate }: CertificateCommand): Promise<CertificateBackup> {
      const backup = await certificates.backUp(run.product, certificate, run.runId);
      const intent = await store.readIntent(run.product);
      if (intent?.runId === run.runId && intent.kind === 'cert-renewal' && intent.backupPath !== backup.path) await store.writeIntent({ ...intent, backupPath: backup.path });
      return backup;
    },

    /** One symlink is switched. What is served changes with the next reload; a router that starts anew in between starts with a pair that was checked. */
    async switchCertificate({ run, certificate, version, names }: CertificateVersionCommand): Promise<{ readonly changed: boolean }> {
      const { product, runId } = run;
      const changed = (await certificates.activate(product, certificate, version)) === 'activated';
      const state = await stateOf(product);
      const before = state.tls ?? null;
      const declared = (await manifestOf(product)).certificates?.ports ?? [443];
      const chosen = before?.ports ?? (ports === 'free' ? await Promise.all(declared.map(() => files.freePort())) : declared);
      await writeTls(state, { certificate, names, ports: chosen, proven: before?.proven === true && before.certificate === certificate }, runId);
      return { changed };
    },

    /**
     * The pair from before the switch is back on the disk; where there was none, the router leaves TLS first, because its configuration must never name a pair that is
     * gone. What is served is the next reload's.
     */
    async restoreCertificate({ run, certificate }: CertificateCommand): Promise<CertificateBackup> {
      const { product, runId } = run;
      const backup = await certificates.readBackup(product, certificate, runId);
      // Without a backup nothing was switched.
      if (backup === null) return { path: '', version: (await certificates.inspect(product, certificate)).active };
      const state = await stateOf(product);
      if (backup.version === null) await applyRouter(await writeTls(state, null, runId));
      const restored = await certificates.restore(product, certificate, runId);
      const facts = backup.version === null ? null : await certificates.read(product, certificate, backup.version);
      const names = state.tls?.names.filter((name) => facts?.names.some((certified) => covers(certified, name))) ?? [];
      // The new one may have been for more names.
      if (state.tls && names.length > 0) await writeTls(state, { ...state.tls, names }, runId);
      return restored;
    },

    /** From here on it is what a way back leads to. Plain HTTP is redirected to it, where the product wants that. */
    async commitCertificate({ run, certificate }: CertificateCommand): Promise<void> {
      await certificates.commit(run.product, certificate, run.runId);
      const state = await stateOf(run.product);
      if (state.tls?.certificate === certificate) await applyRouter(await writeTls(state, { ...state.tls, proven: true }, run.runId));
    },

    /** Removes versions but the active and the previous one, and old backups. */
    async pruneCertificates({ run, certificate }: CertificateCommand): Promise<{ readonly removed: readonly string[] }> {
      return { removed: await certificates.prune(run.product, certificate) };
    },
  };
}
