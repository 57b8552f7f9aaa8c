import type { InstanceState } from '../../src/domain/host/state.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { InstanceStatus } from '../../src/ports/service-manager.ts';
import type { InstanceCommand, InstanceReleaseCommand } from './commands.ts';
import type { HostDependencies } from './dependencies.ts';
import { declarationOf, instanceRef, specOf } from './instance-spec.ts';
import { createOwnProcess } from './own-process.ts';
import { probeNamed } from './proof.ts';
import { createServiceTraffic } from './service-traffic.ts';

export interface RestartInput extends InstanceReleaseCommand {
  /** Replaces the process also where it runs `releaseId` already: a restart for its own sake. Once in each direction of a run, like every other. */
  readonly again?: boolean;
}

export function createInstanceActivities(dependencies: HostDependencies) {
  const { root, store, files, releases, services, probe, now } = dependencies;
  const { stateOf, writeInstance, applyRouter, demandTwin, demandStatus, takeOut } = createServiceTraffic(dependencies);
  const own = createOwnProcess(dependencies);

  return {
    /** Takes an instance out of the router and waits, bounded, until its requests have ended. Going past the bound is no failure: it is said. */
    async drainInstance(command: InstanceCommand, context: ActivityContext): Promise<{ drained: boolean; waitedMs: number }> {
      const { run, instance } = command;
      const state = await stateOf(run.product);
      const entry = state.instances[instance];
      if (!entry) return { drained: true, waitedMs: 0 };
      const status = await demandStatus({ product: run.product, service: entry.service, instance });
      // Once it runs what it should, a repeated command has nothing left to wait for.
      if (entry.admitted || status.status === 'active') await demandTwin(state, instance, status);
      return takeOut(command, context);
    },

    /**
     * Stops an instance and starts it on `releaseId`, once in each direction of a run: a repeated command leaves a started one alone, also
     * when it has died since. The state names the new release before the old process is stopped, so that an agent that starts again after a
     * crash in between brings up the right one.
     *
     * With `again`, where the release tells nothing, the process that is to be replaced is written down before it is stopped: a command that is repeated
     * after a crash finds another one, or none, and knows how far it was.
     *
     * The agent itself is replaced by a helper once this is answered: who asks whether it was, `proveInstance`, is answered by the successor alone. Where the
     * product is Fairlead, a dead-man is armed before the first restart.
     *
     * Where a person recovers the host, something was mended before: then an instance is left alone only if it is ready on `releaseId`.
     */
    async restartInstance(command: RestartInput, context: ActivityContext): Promise<{ result: 'restarted' | 'not_needed' }> {
      const { run, instance, releaseId, direction, again = false } = command;
      const { product } = run;
      const manifest = await releases.readManifest(product, releaseId);
      const declared = declarationOf(manifest, instance);
      const config = await files.readInstanceConfig(product, instance);
      const port = Number(config?.['PORT'] ?? declared.port);
      const startedBy = `${run.runId}:${direction}`;
      let state = await stateOf(product);
      if (direction !== 'recover' && state.instances[instance]?.startedBy === startedBy) return { result: 'not_needed' };
      const status = await demandStatus({ product, service: declared.service.name, instance });
      const running = status.pid !== null;
      const isReady = async (): Promise<boolean> => {
        const target = { name: instance, port: state.instances[instance]?.port ?? port };
        return (await probe.ask(probeNamed(manifest, declared.service.probes.ready), target, releaseId, context.cancel)).passed;
      };
      const replaces = replacedBy(state.instances[instance], startedBy, status);
      const isOld = again && replaces !== null && status.pid === replaces.pid;
      const isRight = status.releaseId === releaseId && !isOld && (direction !== 'recover' || !running || (await isReady()));
      if (running && !isRight && direction !== 'recover') await demandTwin(state, instance, status);
      const before = { startedBy: state.instances[instance]?.startedBy ?? null, ...(again && replaces !== null ? { replaces } : {}) };
      state = await writeInstance(state, instance, { service: declared.service.name, port, releaseId, admitted: false, ...before }, run.runId);
      const spec = specOf(root, manifest, instance, port);
      await own.arm(command, state, manifest, instance);
      if (running && !isRight && own.isSelf(command, status)) {
        await own.replaceSelf(command, spec);
        await writeInstance(state, instance, { startedBy }, run.runId);
        return { result: 'restarted' };
      }
      if (running && !isRight) {
        context.progress({ what: `stopping ${instance}` });
        await services.stop(spec, context.cancel);
      }
      const result = await services.start(spec);
      await writeInstance(state, instance, { startedBy, ...(state.instances[instance]?.replaces ? { replaces: null } : {}) }, run.runId);
      return { result: result === 'started' || (again && replaces !== null) ? 'restarted' : 'not_needed' };
    },

    /**
     * Stops an instance that could not be drained, as a step of its own before `restartInstance` with `again` starts it: the stop signal, `stopSeconds`, then
     * SIGKILL. Writes down which process it was first. One that this run has started already is left alone.
     */
    async stopInstance(command: InstanceCommand, context: ActivityContext): Promise<{ result: 'stopped' | 'killed' | 'not_running' }> {
      const { run, instance, direction } = command;
      const { product } = run;
      const by = `${run.runId}:${direction}`;
      const state = await stateOf(product);
      const entry = state.instances[instance];
      if (!entry || entry.startedBy === by) return { result: 'not_running' };
      const ref = { product, service: entry.service, instance };
      const status = await demandStatus(ref);
      own.refuseSelf(command, instance, status);
      const replaces = replacedBy(entry, by, status);
      // Another process than the one that was to be stopped: it was started since.
      if (replaces === null || (status.pid !== null && status.pid !== replaces.pid)) return { result: 'not_running' };
      await demandTwin(state, instance, status);
      await writeInstance(state, instance, { admitted: false, replaces }, run.runId);
      const { service } = declarationOf(await releases.readManifest(product, entry.releaseId), instance);
      context.progress({ what: `stopping ${instance}` });
      return { result: await services.stop({ ...ref, stopSignal: service.stopSignal, stopSeconds: service.stopSeconds }, context.cancel) };
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
        const ref = instanceRef(product, instance, state);
        await services.stop({ ...ref, stopSignal: 'SIGTERM', stopSeconds: 10 }, context.cancel);
        await services.forget(ref);
        return;
      }
      own.refuseSelf(command, instance, await services.status({ product, service: entry.service, instance }));
      await takeOut(command, context);
      const manifest = await releases.readManifest(product, entry.releaseId);
      const { service } = declarationOf(manifest, instance);
      const ref = { product, service: service.name, instance };
      await services.stop({ ...ref, stopSignal: service.stopSignal, stopSeconds: service.stopSeconds }, context.cancel);
      await services.forget(ref);
      const { [instance]: _gone, ...rest } = (await stateOf(product)).instances;
      await store.writeState({ ...(await stateOf(product)), instances: rest, lastRunId: run.runId, updatedAt: now().toISOString() });
      await applyRouter(await stateOf(product));
    },
  };
}

/** The process that a restart in this run and direction is to replace: the one noted before a crash, else the one that runs; null where none did. */
function replacedBy(entry: InstanceState | undefined, by: string, { pid }: InstanceStatus): { readonly by: string; readonly pid: number } | null {
  if (entry?.replaces?.by === by) return entry.replaces;
  return pid === null ? null : { by, pid };
}
