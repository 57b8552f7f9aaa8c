import { FairleadError } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import { ownProduct, type InstanceName, type ReleaseId } from '../../src/domain/ids.ts';
import { findInstance, type ProductManifest, type Service } from '../../src/domain/product/manifest.ts';
import type { InstanceSpec, InstanceStatus } from '../../src/ports/service-manager.ts';
import type { ActivityContext } from '../../src/ports/host-activity.ts';
import type { Command, HostDependencies } from './dependencies.ts';
import { specOf } from './instance-spec.ts';
import { pause } from './wait.ts';

/** For how long one that is to be replaced holds a step that only its successor can take. */
const successorMs = 2_500;
/** How often the deadline is put off while a command is at work. */
const putOffMs = 10_000;

/** How often a command looks whether the dead-man has done what it does. */
const actingLookMs = 250;

type Commanded = Pick<Command, 'run'> & Partial<Pick<Command, 'direction'>>;

/**
 * What is different where the product is Fairlead itself: a step may end the very process that takes it, and where control or the agent does not come up on the
 * new release, nobody is left who could tell the host to go back. docs/decisions/0017-fairlead-updates-itself.md.
 */
export function createOwnProcess({ root, releases, services, handover }: HostDependencies) {
  const isOwn = ({ run }: Commanded): boolean => run.product === ownProduct;

  /** What the instance may take to stop, to start and to be watched, in seconds: until then no next command is due. */
  const budgetOf = ({ stopSeconds, startSeconds, drainSeconds }: Service, bakeSeconds: number): number => drainSeconds + stopSeconds + startSeconds + bakeSeconds;

  return {
    /** Whether the instance is the process that runs this. */
    isSelf: (command: Commanded, { pid }: InstanceStatus): boolean => isOwn(command) && pid !== null && handover.isSelf(pid),

    /**
     * Arms the dead-man before an instance is replaced on the way forward, or has it know of one more. Does nothing where no release was there to go back to.
     * @param state names, for each instance, the release that it was told to run
     */
    async arm(command: Commanded, state: HostState, manifest: ProductManifest, instance: InstanceName): Promise<void> {
      const from = state.lastGoodReleaseId;
      const declared = findInstance(manifest, instance);
      if (!isOwn(command) || command.direction !== 'do' || from === null || from === manifest.releaseId || !declared) return;
      if (!(await releases.isComplete(ownProduct, from))) return;
      const before = await releases.readManifest(ownProduct, from);
      const moved = (Object.keys(state.instances) as InstanceName[]).filter((name) => state.instances[name]?.releaseId === manifest.releaseId && findInstance(before, name));
      const restarts = moved.map((name) => ({ instance: name, lines: services.recoveryCommands(specOf(root, before, name, state.instances[name]?.port ?? 0)) }));
      await handover.arm({ product: ownProduct, runId: command.run.runId, releaseId: from, restarts }, budgetOf(declared.service, manifest.bakeSeconds));
    },

    /** Has this process replaced in a moment. The answer to whoever asked is given first. */
    async replaceSelf({ run, direction = 'do' }: Commanded, spec: InstanceSpec): Promise<void> {
      await handover.begin({ runId: run.runId, direction, instance: spec.instance, releaseId: spec.releaseId, lines: services.recoveryCommands(spec) });
    },

    /**
     * Where the instance is this process and not on the release of `spec`: sees to it that it is replaced, gives that some time, and has the step tried again, by
     * the successor. Where this process is the successor, its service manager gets to know it.
     */
    async demandSuccessor(command: Commanded, spec: InstanceSpec, { cancel }: Pick<ActivityContext, 'cancel'>): Promise<void> {
      if (!isOwn(command)) return;
      const status = await services.status(spec);
      if (status.pid === null || !handover.isSelf(status.pid)) return;
      if (status.releaseId === spec.releaseId) return void (await services.start(spec));
      await handover.begin({ runId: command.run.runId, direction: command.direction ?? 'do', instance: spec.instance, releaseId: spec.releaseId, lines: services.recoveryCommands(spec) });
      await pause(successorMs, cancel);
      throw new FairleadError(
        { class: 'host', code: 'not_replaced', message: `The agent is still on ${status.releaseId ?? 'another release'}: its successor on ${spec.releaseId} has not taken its place yet.`, hint: `Look at what the helper said: ${hostLayout(root, ownProduct).handoverDir}` },
        { retryable: true },
      );
    },

    /** Takes a command of a run: while it is at work the deadline is put off. On the way back as well: there the dead-man wants what the run wants. */
    async around<Result>(command: Commanded, work: () => Promise<Result>, { cancel, progress }: Pick<ActivityContext, 'cancel' | 'progress'>): Promise<Result> {
      if (!isOwn(command)) return work();
      await demandStanding(command);
      const { runId } = command.run;
      // The first control worker that it starts has the run go on, and go back, while it still sees to the others: two of them would stop and start the same instance.
      while (await handover.isActing(runId)) {
        progress({ what: 'waiting until the dead-man has taken the host back' });
        await pause(actingLookMs, cancel);
      }
      await handover.putOff(runId);
      const beat = setInterval(() => void handover.putOff(runId).catch(() => undefined), putOffMs);
      try {
        return await work();
      } finally {
        clearInterval(beat);
      }
    },

    /** The run is through, or a person decides from here on. @throws where the dead-man was faster */
    async disarm(command: Commanded): Promise<void> {
      if (!isOwn(command)) return;
      await handover.disarm(command.run.runId);
      await demandStanding(command);
    },

    /** Nothing of the run is left to be watched over, nor of those before it. */
    async forget(command: Commanded): Promise<void> {
      if (isOwn(command)) await handover.forget();
    },

    /** Refuses what would end this process without anybody to start it again. */
    refuseSelf(command: Commanded, instance: InstanceName, status: InstanceStatus): void {
      if (!isOwn(command) || status.pid === null || !handover.isSelf(status.pid)) return;
      throw new FairleadError({
        class: 'request',
        code: 'own_process',
        message: `${instance} is the agent that was asked to end it, and nobody would start it again.`,
        hint: 'End it by the service manager of the host. To bring it to another release: fairlead nodes update.',
      });
    },
  };

  /** On the way forward nothing may go on after the host was taken back. */
  async function demandStanding({ run, direction }: Commanded): Promise<void> {
    if (direction !== 'do' || !(await handover.hasActed(run.runId))) return;
    const at = new Date().toISOString();
    const logs = (await releases.current(ownProduct).catch(() => null)) as ReleaseId | null;
    throw new FairleadError(
      {
        class: 'release',
        code: 'taken_back',
        message: `The new release was not heard of in time after its start: this host took itself back to ${logs ?? 'the last good release'}, without anybody's help.`,
        hint: `What the new release said stands in ${hostLayout(root, ownProduct).logsDir}.`,
      },
      { evidence: [{ kind: 'command', at, command: `dead-man of run ${run.runId}`, exit: 'done', output: (await handover.said(run.runId)).join('\n') }, ...(await logEvidence())] },
    );
  }

  async function logEvidence() {
    const current = await releases.current(ownProduct).catch(() => null);
    const manifest = current === null ? null : await releases.readManifest(ownProduct, current).catch(() => null);
    const names = manifest?.services.flatMap(({ name, instances }) => [...new Set(Object.values(instances).flat())].map((short) => ({ product: ownProduct, service: name, instance: `${name}-${short}` as InstanceName }))) ?? [];
    return (await Promise.all(names.slice(0, 4).map((ref) => services.evidence(ref, 40)))).flat().filter(({ kind }) => kind === 'log');
  }
}
