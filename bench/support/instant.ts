import type { HostDependencies } from '../../activities/host/dependencies.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';

/**
 * A host whose product starts, stops and answers at once: what other programs take is none of what is measured. Files, downloads, digests and signatures stay real.
 */
export function instantHost(host: HostDependencies): HostDependencies {
  const running = new Map<InstanceName, ReleaseId>();
  return {
    ...host,
    services: {
      kind: 'embedded',
      async start({ instance, releaseId }) {
        if (running.get(instance) === releaseId) return 'already_running';
        running.set(instance, releaseId);
        return 'started';
      },
      stop: async ({ instance }) => (running.delete(instance) ? 'stopped' : 'not_running'),
      async status({ instance }) {
        const releaseId = running.get(instance) ?? null;
        return { status: releaseId === null ? 'inactive' : 'active', releaseId, pid: releaseId === null ? null : process.pid, lastExit: null };
      },
      reload: async ({ instance }) => (running.has(instance) ? 'reloaded' : 'not_running'),
      forget: async () => undefined,
      evidence: async () => [],
      recoveryCommands: () => [],
      stopCommands: () => [],
    },
    probe: {
      async ask(probe, { name }, expectedReleaseId) {
        return { passed: true, releaseId: expectedReleaseId, evidence: { kind: 'probe', at: new Date().toISOString(), probe: probe.name, target: name, passed: true, answer: '200' } };
      },
    },
  };
}
