import type { HostDependencies } from '../../activities/host/dependencies.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import type { RouterState } from '../../src/ports/router.ts';

type Parts = Pick<HostDependencies, 'services' | 'router' | 'probe'>;

export interface FakeMachine extends Parts {
  powerOff(): void;
  running(): Record<string, ReleaseId>;
  /** Gives a function that makes it what it is now. */
  keep(): () => void;
}

/**
 * The processes of a host without processes, for tests whose subject is its files: instances that run at once and answer with the release
 * that they were started on. They know nothing of the disk, and are gone with the power.
 */
export function createFakeMachine(): FakeMachine {
  const running = new Map<InstanceName, ReleaseId>();
  let routed: RouterState | null = null;
  const services: Parts['services'] = {
    kind: 'embedded',
    async start({ instance, releaseId }) {
      if (running.get(instance) === releaseId) return 'already_running';
      if (running.has(instance)) throw new Error(`${instance} was started while it runs`);
      running.set(instance, releaseId);
      return 'started';
    },
    async stop({ instance }) {
      return running.delete(instance) ? 'stopped' : 'not_running';
    },
    async status({ instance }) {
      const releaseId = running.get(instance) ?? null;
      return { status: releaseId ? 'active' : 'inactive', releaseId, pid: releaseId ? 1 : null, lastExit: null };
    },
    reload: async ({ instance }) => (running.has(instance) ? 'reloaded' : 'not_running'),
    forget: async () => undefined,
    evidence: async () => [],
    recoveryCommands: ({ instance, releaseId }) => [`: start ${instance} on ${releaseId}`],
    stopCommands: ({ instance }) => [`: stop ${instance}`],
  };
  const router: Parts['router'] = {
    kind: 'embedded',
    async apply(state) {
      routed = state;
      return 'applied';
    },
    test: async () => undefined,
    reload: async () => ({ workersBefore: [] }),
    workers: async () => null,
    challengeRoot: async () => '/nowhere',
    inFlight: async () => 0,
    traffic: async () => null,
    async stop() {
      routed = null;
    },
    recoveryCommands: () => [': router'],
  };
  const probe: Parts['probe'] = {
    async ask(asked, { name }, expected) {
      const admitted = routed?.members.find((member) => member.admitted && running.has(member.instance))?.instance;
      const releaseId = running.get((asked.target === 'router' ? admitted : name) as InstanceName) ?? null;
      const passed = releaseId !== null && (expected === null || releaseId === expected);
      return { passed, releaseId, evidence: { kind: 'probe', at: '', probe: asked.name, target: name, passed, answer: String(releaseId) } };
    },
  };
  return {
    services,
    router,
    probe,
    powerOff() {
      running.clear();
      routed = null;
    },
    running: () => Object.fromEntries(running),
    keep() {
      const kept = { running: [...running], routed };
      return () => {
        running.clear();
        for (const [instance, releaseId] of kept.running) running.set(instance, releaseId);
        routed = kept.routed;
      };
    },
  };
}
