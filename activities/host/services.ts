import { FairleadError } from '../../src/domain/failure.ts';
import { withExtras } from '../../src/domain/host/instances.ts';
import type { ExtraInstance, HostState } from '../../src/domain/host/state.ts';
import type { InstanceName, ProductName, ServiceName } from '../../src/domain/ids.ts';
import type { ProcessSight, ServiceInspection } from '../../src/domain/service/inspection.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { InstanceCommand, InstanceReleaseCommand } from './commands.ts';
import type { HostDependencies } from './dependencies.ts';
import { declarationOf, instanceRef, specOf } from './instance-spec.ts';
import { probeNamed } from './proof.ts';
import { createServiceTraffic } from './service-traffic.ts';
import { pause } from './wait.ts';

export interface ExtraCommand extends InstanceCommand {
  readonly service: ServiceName;
  readonly short: string;
}
export interface AddInput extends ExtraCommand {
  /** The port that was asked for, or the first one to try. */
  readonly port: number;
  readonly portFixed: boolean;
}

const probeIntervalMs = 50;
/** A signal is not answered: an instance that is ready sooner after it may not have taken it up yet. */
const takeUpMs = 500;
const evidenceLines = 40;
const highestTcpPort = 65_535;

export function createServiceInspection({ store, releases, services }: Pick<HostDependencies, 'store' | 'releases' | 'services'>) {
  return {
    /** What the host's services are now: its memory, the active release's declaration, and what the service manager says of each instance. Changes nothing. */
    async inspectServices(input: { readonly product: ProductName }): Promise<ServiceInspection> {
      const { product } = input;
      const state = await store.readState(product);
      const active = state?.activeReleaseId ?? null;
      const manifest = active === null ? null : withExtras(await releases.readManifest(product, active), state?.extras);
      const names = Object.keys(state?.instances ?? {}) as InstanceName[];
      const processes = await Promise.all(names.map(async (name): Promise<[InstanceName, ProcessSight]> => [name, await services.status(instanceRef(product, name, state))]));
      return {
        product,
        state,
        intent: await store.readIntent(product),
        manifest: manifest && { product, releaseId: manifest.releaseId, artifact: manifest.artifact, services: manifest.services, bakeSeconds: manifest.bakeSeconds },
        processes: Object.fromEntries(processes) as ServiceInspection['processes'],
      };
    },
  };
}

export function createServiceActivities(dependencies: HostDependencies) {
  const { root, ports, store, files, releases, services, probe, now } = dependencies;
  const { stateOf, demandStatus } = createServiceTraffic(dependencies);

  async function writeExtras(state: HostState, extras: readonly ExtraInstance[], runId: HostState['lastRunId']): Promise<void> {
    const { extras: _before, ...rest } = state;
    await store.writeState({ ...rest, ...(extras.length > 0 ? { extras } : {}), lastRunId: runId, updatedAt: now().toISOString() });
  }

  const isOf =
    ({ service, short }: Pick<ExtraInstance, 'service' | 'short'>, phase: HostState['phase']) =>
    (extra: ExtraInstance): boolean =>
      extra.service === service && extra.short === short && extra.phase === phase;

  return {
    /**
     * Sends the declared signal to the instance's process and waits until it is ready, half a second after the signal at the earliest. The process has to
     * stay the same: one that ends instead is a failure. Sent twice it does no harm, so a repeated command sends it again.
     */
    async reloadInstance({ run, instance, releaseId }: InstanceReleaseCommand, context: ActivityContext): Promise<{ pid: number; readyAfterMs: number }> {
      const { product } = run;
      const entry = (await stateOf(product)).instances[instance];
      const manifest = await releases.readManifest(product, releaseId);
      const { service } = declarationOf(manifest, instance);
      const ref = { product, service: service.name, instance };
      const logFile = specOf(root, manifest, instance, entry?.port ?? 0).logFile;
      if (service.reloadSignal === null) {
        throw new FairleadError({ class: 'request', code: 'reload_undeclared', message: `Service ${service.name} declares no reload signal in release ${releaseId}.`, hint: `Restart it: fairlead service restart ${service.name}` });
      }
      const { pid } = await demandStatus(ref);
      if (pid === null || (await services.reload(ref, service.reloadSignal)) === 'not_running') {
        throw new FairleadError(
          { class: 'host', code: 'instance_not_running', message: `${instance} does not run: there is no process that could reload.`, hint: `Restart it: fairlead service restart ${service.name} --instance ${instance}` },
          { evidence: await services.evidence(ref, evidenceLines) },
        );
      }
      const began = Date.now();
      const ready = probeNamed(manifest, service.probes.ready);
      for (;;) {
        const answer = await probe.ask(ready, { name: instance, port: entry?.port ?? 0 }, releaseId, context.cancel);
        context.cancel.throwIfAborted();
        // Asked after the probe: an answer that came from a process which is gone since proves nothing.
        const status = await demandStatus(ref);
        if (status.pid !== pid) {
          throw new FairleadError(
            {
              class: 'release',
              code: 'reload_ended_process',
              message: `${instance} did not reload on ${service.reloadSignal}: its process ${pid} ended${status.lastExit === null ? '' : ` (${status.lastExit})`}.`,
              hint: `Release ${releaseId} declares services.${service.name}.reloadSignal: ${service.reloadSignal}, and has to handle it. Its log: ${logFile}`,
            },
            { evidence: [answer.evidence, ...(await services.evidence(ref, evidenceLines))] },
          );
        }
        if (answer.passed && Date.now() - began >= takeUpMs) return { pid, readyAfterMs: Date.now() - began };
        if (!answer.passed && Date.now() - began > service.startSeconds * 1000) {
          throw new FairleadError(
            {
              class: 'release',
              code: 'probe_failed',
              message: `${instance} was not ready within ${service.startSeconds} s of its reload: probe ${ready.name} (${ready.path}) answered: ${answer.evidence.answer}`,
              hint: `Look at what it was to take up, and at its log: ${logFile}`,
            },
            { evidence: [answer.evidence, ...(await services.evidence(ref, evidenceLines))] },
          );
        }
        context.progress({ what: `waiting for ${instance} to be ready`, done: Date.now() - began, total: service.startSeconds * 1000 });
        await pause(probeIntervalMs, context.cancel);
      }
    },

    /** Gives an added instance its entry in the state, its port and its conf file. What people have written into a conf file stays. It is not started yet. */
    async addInstance({ run, instance, service, short, port, portFixed }: AddInput): Promise<{ port: number }> {
      const { product } = run;
      const state = await stateOf(product);
      const others = (state.extras ?? []).filter((extra) => !isOf({ service, short }, state.phase)(extra));
      const mine = (state.extras ?? []).find((extra) => isOf({ service, short }, state.phase)(extra) && extra.addedBy === run.runId);
      const config = await files.readInstanceConfig(product, instance);
      const chosen = mine?.port ?? (await choosePort(state, instance, portFixed ? port : Number(config?.['PORT'] ?? 0), port));
      if (!mine) await writeExtras(state, [...others, { service, short, port: chosen, phase: state.phase, addedBy: run.runId, settled: false }], run.runId);
      if (config?.['PORT'] !== String(chosen)) await files.writeInstanceConfig(product, instance, { ...config, PORT: String(chosen) });
      return { port: chosen };
    },

    /** The instance was proven: from here on updates keep it. */
    async settleInstance({ run, service, short }: ExtraCommand): Promise<void> {
      const state = await stateOf(run.product);
      const extras = (state.extras ?? []).map((extra) => (isOf({ service, short }, state.phase)(extra) ? { ...extra, settled: true } : extra));
      await writeExtras(state, extras, run.runId);
    },

    /**
     * Forgets an added instance that was stopped before. Its conf file is set aside as `<instance>.conf.removed`, because people may have written into
     * it; on the way back one that holds nothing but our port is removed.
     */
    async forgetInstance({ run, direction, instance, service, short }: ExtraCommand): Promise<void> {
      const state = await stateOf(run.product);
      const config = await files.readInstanceConfig(run.product, instance);
      const ours = config !== null && Object.keys(config).every((key) => key === 'PORT');
      if (direction !== 'do' && ours) await files.removeInstanceConfig(run.product, instance);
      else if (config !== null) await files.setAsideInstanceConfig(run.product, instance);
      await writeExtras(state, (state.extras ?? []).filter((extra) => !isOf({ service, short }, state.phase)(extra)), run.runId);
    },
  };

  /** @param asked the port that somebody wants: demanded to be free; 0 chooses one, from `first` up */
  async function choosePort(state: HostState, instance: InstanceName, asked: number, first: number): Promise<number> {
    const used = new Set(Object.entries(state.instances).filter(([name]) => name !== instance).map(([, entry]) => entry.port));
    if (asked !== 0) {
      if (!used.has(asked) && (await files.isFreePort(asked))) return asked;
      throw new FairleadError({
        class: 'request',
        code: 'port_taken',
        message: `Port ${asked}, which ${instance} is to listen on, is taken on this host.`,
        hint: 'Name another one with --port, or leave it out to have a free one chosen.',
      });
    }
    if (ports === 'free') return files.freePort();
    for (let port = first; port <= highestTcpPort; port += 1) if (!used.has(port) && (await files.isFreePort(port))) return port;
    throw new FairleadError({ class: 'host', code: 'no_free_port', message: `No port from ${first} up is free for ${instance}.`, hint: 'Name one with --port.' });
  }
}
