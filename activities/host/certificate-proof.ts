import { servedProblem, summarize, targetsOf, type Handshake, type RouterWorker, type Served } from '../../src/domain/certificate/served.ts';
import { FairleadError, type Evidence } from '../../src/domain/failure.ts';
import type { CertificateVersion } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import { createCertificateGround, type CertificateCommand } from './certificates.ts';
import type { HostDependencies } from './dependencies.ts';
import { pause } from './wait.ts';

export interface ProveServedInput extends CertificateCommand {
  /** Null: there was none before, and TLS is off again. */
  readonly version: CertificateVersion | null;
  /** From `reloadRouter`: those who must not accept any more. Null on the way back, where only what is served counts. */
  readonly workersBefore: readonly RouterWorker[] | null;
}

/** What was asked before is asked again within this time: connections that were on their way to an old worker end. */
const limitMs = 5_000;
const atOnce = 8;
/** On one listener for one name. */
const mostHandshakes = 16;

export function createCertificateProof(dependencies: HostDependencies) {
  const { certificates, tls, router } = dependencies;
  const { stateOf, wantedOf } = createCertificateGround(dependencies);

  return {
    /** Whether the router could load its configuration with the pair that is in place now (`nginx -t`). Nothing that serves is touched. */
    async testRouter({ run }: CertificateCommand): Promise<void> {
      try {
        await router.test(await wantedOf(run.product, await stateOf(run.product)));
      } catch (error) {
        if (!(error instanceof FairleadError) || error.reason.code !== 'router_config_invalid') throw error;
        // The release is served with the same configuration already: it is not to blame.
        throw new FairleadError({ class: 'host', code: 'router_test_failed', message: error.message, hint: 'What was served before still is. Look at the pair and at what else the configuration reads.' }, { cause: error });
      }
    },

    /**
     * The router reads the pair that is in place now, with workers that were started for it; TLS is turned on or off with it where the state says so. On the way back a
     * reload that did nothing is no failure by itself: what is served decides.
     */
    async reloadRouter({ run, direction }: CertificateCommand): Promise<{ readonly workersBefore: readonly RouterWorker[]; readonly note: string }> {
      const before = (await router.workers(run.product))?.filter(({ accepting }) => accepting) ?? null;
      try {
        await router.apply(await wantedOf(run.product, await stateOf(run.product)));
        const now = await router.workers(run.product);
        const stayed = before?.filter((old) => now?.some(({ pid, startTicks, accepting }) => accepting && pid === old.pid && startTicks === old.startTicks)) ?? null;
        // A change of the configuration has replaced them already.
        if (before !== null && before.length > 0 && stayed?.length === 0) return { workersBefore: before, note: 'new configuration' };
        return { ...(await router.reload(run.product)), note: 'reloaded' };
      } catch (error) {
        const lenient = direction !== 'do' && error instanceof FairleadError && ['reload_did_nothing', 'router_reload_failed'].includes(error.reason.code);
        if (!lenient) throw error;
        return { workersBefore: [], note: error.message };
      }
    },

    /**
     * The certificate is what clients get: on every listener, for every name, over connections opened anew and enough of them to meet every worker, with its whole
     * chain; and no worker from before the reload accepts any more. Asked again for up to 5 s. @throws `reload_did_nothing`, `listener_stuck`, `worker_stuck`,
     * `handshake_failed`, `chain_not_served`, with what was served where as evidence
     */
    async proveServed({ run, certificate, version, workersBefore }: ProveServedInput, context: ActivityContext): Promise<{ readonly served: readonly Served[] }> {
      const { product } = run;
      const state = await stateOf(product);
      if (version === null || !state.tls) return { served: [] };
      const facts = await certificates.read(product, certificate, version);
      if (facts === null) throw new FairleadError({ class: 'host', code: 'certificate_version_broken', message: `Version ${version} of certificate ${certificate} is not there or not whole.`, hint: 'What the router has loaded is served until its next reload.' });
      // A root at the end need not be sent.
      const expectedChain = [facts, ...facts.chain].filter(({ subject, issuer }, at) => at === 0 || subject !== issuer).map(({ fingerprintSha256 }) => fingerprintSha256);
      const targets = targetsOf(state.tls, state.router?.address ?? '127.0.0.1');
      const deadline = Date.now() + limitMs;
      for (;;) {
        const workersNow = await router.workers(product);
        const rounds = Math.min(mostHandshakes, 4 * Math.max(1, workersNow?.filter(({ accepting }) => accepting).length ?? 1));
        const asked = targets.flatMap((target) => Array.from({ length: rounds }, () => target));
        const handshakes: Handshake[] = [];
        for (let at = 0; at < asked.length; at += atOnce) {
          handshakes.push(...(await Promise.all(asked.slice(at, at + atOnce).map((target) => tls.handshake(target, context.cancel)))));
          context.cancel.throwIfAborted();
          context.progress({ what: 'handshakes', done: handshakes.length, total: asked.length });
        }
        const problem = servedProblem({ expected: facts.fingerprintSha256, expectedChain, handshakes, workersBefore, workersNow });
        const served = summarize(handshakes);
        if (problem === null) return { served };
        if (Date.now() >= deadline) throw new FairleadError(problem, { evidence: served.map((place) => evidenceOf(place, dependencies.now().toISOString())) });
        await pause(250, context.cancel);
      }
    },
  };
}

function evidenceOf({ target, handshakes, fingerprints, errors }: Served, at: string): Evidence {
  const sent = Object.entries(fingerprints).map(([fingerprint, count]) => `${count} x ${fingerprint}`);
  return { kind: 'probe', at, probe: 'tls-handshake', target: `${target.address}:${target.port} ${target.name}`, passed: errors.length === 0, answer: `${handshakes} handshakes: ${[...sent, ...errors].join('; ')}` };
}
