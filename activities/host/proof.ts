import { FairleadError, type Evidence } from '../../src/domain/failure.ts';
import type { ProductManifest } from '../../src/domain/product/manifest.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { InstanceRef } from '../../src/ports/service-manager.ts';
import type { InstanceReleaseCommand } from './commands.ts';
import type { HostDependencies } from './dependencies.ts';
import { declarationOf, specOf } from './instance-spec.ts';
import { createOwnProcess } from './own-process.ts';
import { createServiceTraffic } from './service-traffic.ts';
import { pause } from './wait.ts';

export interface ProveInput extends InstanceReleaseCommand {
  /** How long it has to stay healthy; null takes the manifest's. */
  readonly bakeSeconds: number | null;
}

const probeIntervalMs = 100;
const evidenceLines = 40;

export function createProofActivities(dependencies: HostDependencies) {
  const { root, releases, services, probe } = dependencies;
  const { stateOf } = createServiceTraffic(dependencies);
  const own = createOwnProcess(dependencies);

  async function failure(ref: InstanceRef, reason: FairleadError['reason'], answers: readonly Evidence[]): Promise<FairleadError> {
    return new FairleadError(reason, { evidence: [...answers.slice(-3), ...(await services.evidence(ref, evidenceLines))] });
  }

  return {
    /**
     * Waits until the instance is ready and names `releaseId` itself, then watches it for the bake time. Fails at once when its process has
     * ended, with its last log lines. Where the instance is the agent, its successor alone can prove anything: the one that is to be replaced has the step
     * tried again, and sees to it that it is replaced.
     */
    async proveInstance(command: ProveInput, context: ActivityContext): Promise<{ readyAfterMs: number; bakedMs: number }> {
      const { run, instance, releaseId, bakeSeconds } = command;
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const { service } = declarationOf(manifest, instance);
      const ref = { product, service: service.name, instance };
      const port = (await stateOf(product)).instances[instance]?.port ?? 0;
      const target = { name: instance, port };
      const ready = probeNamed(manifest, service.probes.ready);
      const live = probeNamed(manifest, service.probes.live);
      await own.demandSuccessor(command, specOf(root, manifest, instance, port), context);
      const began = Date.now();
      const answers: Evidence[] = [];

      const demandRunning = async (): Promise<void> => {
        const status = await services.status(ref);
        if (status.status !== 'failed' && status.status !== 'inactive') return;
        const reason = {
          class: 'release' as const,
          code: 'instance_exited',
          message: `${instance} ended by itself on release ${releaseId} (${status.lastExit ?? 'exit status unknown'}) ${Date.now() - began} ms after its start was awaited.`,
          hint: `Its log: ${specOf(root, manifest, instance, port).logFile}`,
        };
        throw await failure(ref, reason, answers);
      };

      for (;;) {
        const answer = await probe.ask(ready, target, releaseId, context.cancel);
        context.cancel.throwIfAborted();
        answers.push(answer.evidence);
        if (answer.passed) break;
        await demandRunning();
        if (Date.now() - began > service.startSeconds * 1000) {
          const told = answer.releaseId !== null && answer.releaseId !== releaseId;
          const reason = {
            class: 'release' as const,
            code: told ? 'wrong_release_answers' : 'probe_failed',
            message: told
              ? `${instance} says that it is release ${answer.releaseId}, not ${releaseId}, ${service.startSeconds} s after its start (probe ${ready.name}).`
              : `${instance} was not ready on release ${releaseId} within ${service.startSeconds} s: probe ${ready.name} (${ready.path}) answered: ${answer.evidence.answer}`,
            hint: `The limit is services.${service.name}.startSeconds in fairlead.yaml; the log: ${specOf(root, manifest, instance, port).logFile}`,
          };
          throw await failure(ref, reason, answers);
        }
        context.progress({ what: `waiting for ${instance} to be ready`, done: Date.now() - began, total: service.startSeconds * 1000 });
        await pause(probeIntervalMs, context.cancel);
      }

      const readyAfterMs = Date.now() - began;
      const bakeMs = (bakeSeconds ?? manifest.bakeSeconds) * 1000;
      const baking = Date.now();
      while (Date.now() - baking < bakeMs) {
        await pause(Math.min(probeIntervalMs, bakeMs), context.cancel);
        await demandRunning();
        for (const asked of [live, ready]) {
          const answer = await probe.ask(asked, target, releaseId, context.cancel);
          context.cancel.throwIfAborted();
          if (answer.passed) continue;
          answers.push(answer.evidence);
          const reason = {
            class: 'release' as const,
            code: 'bake_failed',
            message: `${instance} was ready on release ${releaseId} and then failed ${asked.name} ${Date.now() - baking} ms into its bake time of ${bakeMs} ms: ${answer.evidence.answer}`,
            hint: `The log: ${specOf(root, manifest, instance, port).logFile}`,
          };
          throw await failure(ref, reason, answers);
        }
        context.progress({ what: `watching ${instance}`, done: Date.now() - baking, total: bakeMs });
      }
      return { readyAfterMs, bakedMs: Date.now() - baking };
    },
  };
}

export function probeNamed(manifest: ProductManifest, name: string) {
  const found = manifest.probes[name];
  if (found) return found;
  throw new FairleadError({
    class: 'release',
    code: 'probe_undeclared',
    message: `Release ${manifest.releaseId} names a probe ${name} that it does not declare.`,
    hint: 'Look at probes: in its fairlead.yaml.',
  });
}
