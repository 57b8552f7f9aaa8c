import { findByEnvironment } from '../../adapters/process/proc.ts';
import type { ProcessIdentity } from '../../adapters/process/proc.ts';
import { endProcess } from '../processes.ts';
import type { DevState } from './state.ts';

/** Set in the environment of every process that `fairlead dev` starts, with the directory it plays: by it a successor finds them all. */
export const devMark = 'FAIRLEAD_DEV_DIR';
/** Names the process among them. Instances and routers carry neither: agents start them with an environment of their own. */
export const devProcessMark = 'FAIRLEAD_DEV_PROCESS';

/**
 * Ends what a `fairlead dev` that was killed left running: agents first, the database last. Instances and routers of hosts are left alone,
 * the agents that are started next adopt them.
 *
 * @returns the names of those that were ended
 */
export async function endLeftovers(dir: string, state: DevState): Promise<string[]> {
  const left: { name: string; identity: ProcessIdentity; signal: 'SIGTERM' | 'SIGINT' }[] = Object.entries(state.processes).map(([name, { signal, ...identity }]) => ({ name, identity, signal }));
  // One that was started and not yet written down when the power of its parent went.
  for (const found of await findByEnvironment({ [devMark]: dir })) {
    const name = found.environment[devProcessMark] ?? 'process';
    const known = left.some(({ identity }) => identity.pid === found.pid);
    if (!known && found.pid !== process.pid && found.sessionId === found.pid) left.push({ name, identity: found, signal: name === 'postgres' ? 'SIGINT' : 'SIGTERM' });
  }
  const rank = (name: string): number => (name.startsWith('agent') ? 0 : ['api', 'control', 'temporal', 'postgres'].indexOf(name) + 1);
  const ended: string[] = [];
  for (const { name, identity, signal } of left.sort((a, b) => rank(a.name) - rank(b.name))) {
    if ((await endProcess(identity, signal, 10_000)) !== 'gone') ended.push(name);
  }
  return ended;
}
