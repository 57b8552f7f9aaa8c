import { FairleadError, type Evidence } from '../../src/domain/failure.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { Phase, ProductManifest } from '../../src/domain/product/manifest.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { HostDependencies, ReleaseCommand } from './dependencies.ts';
import { demandState, instanceRef, routerStateOf } from './instance-spec.ts';
import { probeNamed } from './proof.ts';
import { pause } from './wait.ts';

export interface VerifyHealthInput extends ReleaseCommand {
  readonly phase: Phase;
}

const limitMs = 15_000;
/** Each router probe is asked this often in a row, so that more than one instance answers. */
const routerRounds = 3;

export function createHealthActivities({ root, store, releases, services, probe }: HostDependencies) {
  return {
    /** The whole health model of the phase, asked of every instance and through the router as a client would; all must pass within 15 s. */
    async verifyHealth({ run, releaseId, phase, direction }: VerifyHealthInput, context: ActivityContext): Promise<{ probes: number }> {
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const began = Date.now();
      for (;;) {
        const state = demandState(await store.readState(product), product);
        const failed: Evidence[] = [];
        const asked = questions(root, manifest, phase, state);
        for (const { name, target } of asked) {
          const answer = await probe.ask(probeNamed(manifest, name), target, releaseId, context.cancel);
          context.cancel.throwIfAborted();
          if (!answer.passed) failed.push(answer.evidence);
        }
        if (failed.length === 0) return { probes: asked.length };
        if (Date.now() - began > limitMs) {
          const first = failed[0] as Extract<Evidence, { kind: 'probe' }>;
          const logs = await Promise.all((Object.keys(state.instances) as InstanceName[]).map((name) => services.evidence(instanceRef(product, name, state), 20)));
          throw new FairleadError(
            {
              class: direction === 'do' ? 'release' : 'host',
              code: 'health_model_failed',
              message: `${failed.length} of ${asked.length} probes of phase ${phase} still failed ${limitMs / 1000} s after every instance was up on ${releaseId}; ${first.probe} on ${first.target}: ${first.answer}`,
              hint: 'The probes are health: in fairlead.yaml; the answers and the last log lines are in the evidence.',
            },
            { evidence: [...failed, ...logs.flat()] },
          );
        }
        context.progress({ what: 'waiting for the health model', done: asked.length - failed.length, total: asked.length });
        await pause(250, context.cancel);
      }
    },
  };
}

function questions(root: string, manifest: ProductManifest, phase: Phase, state: HostState) {
  return manifest.health[phase].flatMap((name) => {
    const { target } = probeNamed(manifest, name);
    if (target === 'router') {
      // As a client would: where plain HTTP is redirected, over TLS.
      const tls = routerStateOf(root, state, manifest)?.tls ?? null;
      const place = tls?.redirect ? { port: tls.ports[0] ?? 443, tlsName: (tls.names[0] ?? '').replace(/^\*/, 'fairlead') } : { port: state.router?.port ?? manifest.router?.listen ?? 0 };
      return Array.from({ length: routerRounds }, () => ({ name, target: { name: 'router', ...place } }));
    }
    return Object.entries(state.instances)
      // One that gets no requests is the old colour, kept warm, or the phase that is being left.
      .filter(([, entry]) => entry.service === target.service && entry.admitted)
      .map(([instance, entry]) => ({ name, target: { name: instance, port: entry.port } }));
  });
}
