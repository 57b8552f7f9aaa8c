import { FairleadError } from '../../src/domain/failure.ts';
import type { HostState, InstanceState } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName } from '../../src/domain/ids.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { InstanceRef, InstanceStatus } from '../../src/ports/service-manager.ts';
import type { InstanceCommand } from './commands.ts';
import type { Command, HostDependencies } from './dependencies.ts';
import { declarationOf, demandState, routerStateOf } from './instance-spec.ts';
import { pause } from './wait.ts';

/** What the activities of instances share: the host's state, the router that follows it, and the rule that a twin has to serve. */
export function createServiceTraffic({ host, root, store, releases, services, router, now }: HostDependencies) {
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
      if (entry.admitted && (await services.status({ product: state.product, service: entry.service, instance: twin })).status === 'active') return;
    }
    throw new FairleadError(
      {
        class: 'host',
        code: 'twin_down',
        message: `${name} is the only instance of its service that serves: ${twins.map(([twin]) => twin).join(', ')} is down or out of the router.`,
        hint: `Restart the whole service, which starts the others first: fairlead service restart ${state.instances[name]?.service} --host ${host} --product ${state.product}`,
      },
      { retryable: true },
    );
  }

  async function demandStatus(ref: InstanceRef): Promise<InstanceStatus> {
    const status = await services.status(ref);
    if (status.status !== 'unknown') return status;
    throw new FairleadError(
      {
        class: 'host',
        code: 'service_manager_unreachable',
        message: `The ${services.kind} service manager could not say how ${ref.instance} is.`,
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

  return { stateOf, writeInstance, applyRouter, demandTwin, demandStatus, takeOut };
}
