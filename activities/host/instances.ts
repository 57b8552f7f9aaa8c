import { FairleadError, type Evidence } from '../../src/domain/failure.ts';
import type { HostState, InstanceState } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import { instancesOf, type Phase, type ProductManifest } from '../../src/domain/product/manifest.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { InstanceStatus } from '../../src/ports/service-manager.ts';
import type { Command, HostDependencies, ReleaseCommand } from './dependencies.ts';
import { emptyState } from './bundle.ts';
import { declarationOf, demandState, routerStateOf, specOf } from './instance-spec.ts';
import { pause } from './wait.ts';

export interface InstanceCommand extends Command {
  readonly instance: InstanceName;
}
export interface InstanceReleaseCommand extends InstanceCommand {
  readonly releaseId: ReleaseId;
}
export interface ConfigureInput extends ReleaseCommand {
  readonly phase: Phase;
}
export interface ProveInput extends InstanceReleaseCommand {
  /** How long it has to stay healthy; null takes the manifest's. */
  readonly bakeSeconds: number | null;
}
export interface UnconfigureInput extends Command {
  /** The instances that the host had before the run. */
  readonly keep: readonly InstanceName[];
}

const probeIntervalMs = 100;
const evidenceLines = 40;

export function createInstanceActivities(dependencies: HostDependencies) {
  const { root, ports, routerAddress, store, files, releases, services, router, probe, now } = dependencies;

  async function stateOf(product: ProductName): Promise<HostState> {
    return demandState(await store.readState(product), product);
  }

  async function writeInstance(state: HostState, name: InstanceName, change: Partial<InstanceState>, runId: Command['run']['runId']): Promise<HostState> {
    const before = state.instances[name];
    const after = { ...before, ...change } as InstanceState;
    if (before && (Object.keys(change) as (keyof InstanceState)[]).every((key) => before[key] === after[key])) return state;
    const next = { ...state, instances: { ...state.instances, [name]: after }, lastRunId: runId, updatedAt: now().toISOString() };
    await store.writeState(next);
    return next;
  }

  /** Puts the router in the shape that the state describes, by the declaration of the release that `current` names. */
  async function applyRouter(state: HostState): Promise<void> {
    const current = await releases.current(state.product);
    if (current === null) return;
    const wanted = routerStateOf(root, state, await releases.readManifest(state.product, current));
    if (wanted) await router.apply(wanted);
  }

  const twinsOf = (state: HostState, name: InstanceName): [InstanceName, InstanceState][] =>
    (Object.entries(state.instances) as [InstanceName, InstanceState][]).filter(
      ([other, entry]) => other !== name && entry.service === state.instances[name]?.service,
    );

  /** An instance that serves is only taken away while a twin serves too; a dead one cannot be missed. */
  async function demandTwin(state: HostState, name: InstanceName, status: InstanceStatus): Promise<void> {
    const twins = twinsOf(state, name);
    if (twins.length === 0 || status.status === 'inactive' || status.status === 'failed') return;
    for (const [twin, entry] of twins) {
      if (entry.admitted && (await services.status(state.product, twin)).status === 'active') return;
    }
    throw new FairleadError(
      {
        class: 'host',
        code: 'twin_down',
        message: `${name} is the only instance of its service that serves: ${twins.map(([twin]) => twin).join(', ')} is down or out of the router.`,
        hint: `Bring the twin up first: fairlead service status ${twins[0]?.[0]}`,
      },
      { retryable: true },
    );
  }

  async function demandStatus(product: ProductName, instance: InstanceName): Promise<InstanceStatus> {
    const status = await services.status(product, instance);
    if (status.status !== 'unknown') return status;
    throw new FairleadError(
      {
        class: 'host',
        code: 'service_manager_unreachable',
        message: `The ${services.kind} service manager could not say how ${instance} is.`,
        hint: 'See that it runs and that the agent may ask it.',
      },
      { retryable: true },
    );
  }

  async function takeOut(command: InstanceCommand, context: ActivityContext): Promise<{ drained: boolean; waitedMs: number }> {
    const { run, instance } = command;
    const state = await writeInstance(await stateOf(run.product), instance, { admitted: false }, run.runId);
    await applyRouter(state);
    const entry = state.instances[instance];
    const manifest = entry ? await releases.readManifest(run.product, entry.releaseId).catch(() => null) : null;
    const bound = manifest ? declarationOf(manifest, instance).service.drainSeconds * 1000 : 30_000;
    const began = Date.now();
    for (;;) {
      const inFlight = await router.inFlight(run.product, instance);
      const waitedMs = Date.now() - began;
      if (inFlight === 0 || inFlight === null) return { drained: inFlight === 0, waitedMs };
      if (waitedMs >= bound) return { drained: false, waitedMs };
      context.progress({ what: 'requests in flight', done: inFlight, total: 0 });
      await pause(Math.min(50, bound - waitedMs), context.cancel);
    }
  }

  async function failure(product: ProductName, instance: InstanceName, reason: FairleadError['reason'], answers: readonly Evidence[]): Promise<FairleadError> {
    return new FairleadError(reason, { evidence: [...answers.slice(-3), ...(await services.evidence(product, instance, evidenceLines))] });
  }

  return {
    /**
     * Makes conf files for the instances that have none and settles their ports. What people have written into a conf file stays. A first
     * install gets its state here.
     */
    async configureInstances({ run, releaseId, phase }: ConfigureInput): Promise<{ created: InstanceName[] }> {
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const created: InstanceName[] = [];
      for (const { name, port } of instancesOf(manifest, phase)) {
        const config = await files.readInstanceConfig(product, name);
        if (config?.['PORT']) continue;
        const chosen = ports === 'free' ? await files.freePort() : port;
        await files.writeInstanceConfig(product, name, { ...config, PORT: String(chosen) });
        created.push(name);
      }
      const state = (await store.readState(product)) ?? emptyState(product, now());
      const settled = state.activeReleaseId === null ? { ...state, phase } : state;
      const routerPort = manifest.router ? { address: routerAddress, port: ports === 'free' ? await files.freePort() : manifest.router.listen } : null;
      const next = { ...settled, router: settled.router ?? routerPort };
      if (next.router !== state.router || next.phase !== state.phase) {
        await store.writeState({ ...next, lastRunId: run.runId, updatedAt: now().toISOString() });
      }
      return { created };
    },

    /** Takes away the conf files of instances that the run added. After a failed first install nothing but a condemned release is remembered. */
    async unconfigureInstances({ run, keep }: UnconfigureInput): Promise<void> {
      const { product } = run;
      const state = await store.readState(product);
      const intent = await store.readIntent(product);
      const manifest = intent && (await releases.isComplete(product, intent.toReleaseId)) ? await releases.readManifest(product, intent.toReleaseId) : null;
      const added = manifest ? instancesOf(manifest, intent?.phase ?? 'setup').map(({ name }) => name) : [];
      for (const name of added) if (!keep.includes(name)) await files.removeInstanceConfig(product, name);
      if (state && state.activeReleaseId === null) {
        await router.stop(product, 5);
        await store.removeState(product);
      } else if (state) {
        await applyRouter(state);
      }
    },

    /** Takes an instance out of the router and waits, bounded, until its requests have ended. Going past the bound is no failure: it is said. */
    async drainInstance(command: InstanceCommand, context: ActivityContext): Promise<{ drained: boolean; waitedMs: number }> {
      const { run, instance } = command;
      const state = await stateOf(run.product);
      const entry = state.instances[instance];
      if (!entry) return { drained: true, waitedMs: 0 };
      const status = await demandStatus(run.product, instance);
      // Once it runs what it should, a repeated command has nothing left to wait for.
      if (entry.admitted || status.status === 'active') await demandTwin(state, instance, status);
      return takeOut(command, context);
    },

    /**
     * Stops an instance and starts it on `releaseId`, once in each direction of a run: a repeated command leaves a started one alone, also
     * when it has died since. The state names the new release before the old process is stopped, so that an agent that starts again after a
     * crash in between brings up the right one.
     */
    async restartInstance({ run, instance, releaseId, direction }: InstanceReleaseCommand, context: ActivityContext): Promise<{ result: 'restarted' | 'not_needed' }> {
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const declared = declarationOf(manifest, instance);
      const config = await files.readInstanceConfig(product, instance);
      const port = Number(config?.['PORT'] ?? declared.port);
      const startedBy = `${run.runId}:${direction}`;
      let state = await stateOf(product);
      if (state.instances[instance]?.startedBy === startedBy) return { result: 'not_needed' };
      const status = await demandStatus(product, instance);
      const running = status.pid !== null;
      if (running && status.releaseId !== releaseId && direction !== 'recover') await demandTwin(state, instance, status);
      state = await writeInstance(state, instance, { service: declared.service.name, port, releaseId, admitted: false, startedBy: state.instances[instance]?.startedBy ?? null }, run.runId);
      const spec = specOf(root, manifest, instance, port);
      if (running && status.releaseId !== releaseId) {
        context.progress({ what: `stopping ${instance}` });
        await services.stop(spec, context.cancel);
      }
      const result = await services.start(spec);
      await writeInstance(state, instance, { startedBy }, run.runId);
      return { result: result === 'started' ? 'restarted' : 'not_needed' };
    },

    /**
     * Waits until the instance is ready and names `releaseId` itself, then watches it for the bake time. Fails at once when its process has
     * ended, with its last log lines.
     */
    async proveInstance({ run, instance, releaseId, bakeSeconds }: ProveInput, context: ActivityContext): Promise<{ readyAfterMs: number; bakedMs: number }> {
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const { service } = declarationOf(manifest, instance);
      const port = (await stateOf(product)).instances[instance]?.port ?? 0;
      const target = { name: instance, port };
      const ready = probeNamed(manifest, service.probes.ready);
      const live = probeNamed(manifest, service.probes.live);
      const began = Date.now();
      const answers: Evidence[] = [];

      const demandRunning = async (): Promise<void> => {
        const status = await services.status(product, instance);
        if (status.status !== 'failed' && status.status !== 'inactive') return;
        const reason = {
          class: 'release' as const,
          code: 'instance_exited',
          message: `${instance} ended by itself on release ${releaseId} (${status.lastExit ?? 'exit status unknown'}) ${Date.now() - began} ms after its start was awaited.`,
          hint: `Its log: ${specOf(root, manifest, instance, port).logFile}`,
        };
        throw await failure(product, instance, reason, answers);
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
          throw await failure(product, instance, reason, answers);
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
          throw await failure(product, instance, reason, answers);
        }
        context.progress({ what: `watching ${instance}`, done: Date.now() - baking, total: bakeMs });
      }
      return { readyAfterMs, bakedMs: Date.now() - baking };
    },

    /** Lets the router send requests to the instance. */
    async admitInstance({ run, instance }: InstanceCommand): Promise<void> {
      const state = await writeInstance(await stateOf(run.product), instance, { admitted: true }, run.runId);
      await applyRouter(state);
    },

    /** Takes an instance away for good: out of the router, stopped, forgotten. Its conf file stays. */
    async retireInstance(command: InstanceCommand, context: ActivityContext): Promise<void> {
      const { run, instance } = command;
      const { product } = run;
      const state = await store.readState(product);
      const entry = state?.instances[instance];
      if (!state || !entry) {
        await services.stop({ product, instance, stopSignal: 'SIGTERM', stopSeconds: 10 }, context.cancel);
        return;
      }
      await takeOut(command, context);
      const manifest = await releases.readManifest(product, entry.releaseId);
      const { service } = declarationOf(manifest, instance);
      await services.stop({ product, instance, stopSignal: service.stopSignal, stopSeconds: service.stopSeconds }, context.cancel);
      const { [instance]: _gone, ...rest } = (await stateOf(product)).instances;
      await store.writeState({ ...(await stateOf(product)), instances: rest, lastRunId: run.runId, updatedAt: now().toISOString() });
      await applyRouter(await stateOf(product));
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
