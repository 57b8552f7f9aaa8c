import * as fs from 'node:fs/promises';
import { isAlive, readProcess, type ProcessIdentity } from '../../src/adapters/process/proc.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { startCheckpoints, type Checkpoint, type Verdict } from './checkpoints.ts';
import { startStack, type Stack } from './stack.ts';

export type Decision = (at: Checkpoint) => Promise<Verdict> | Verdict;

/** A stack whose agents, and with `checksControl` its control worker, ask the test at every checkpoint. While the test thinks, the activity does not move. */
export interface CheckedStack extends Stack {
  /** What happens at every checkpoint from now on. */
  decide(decision: Decision): void;
  pidOf(name: string): number;
}

export async function startCheckedStack(options: { readonly hosts?: number; readonly dir?: string; readonly env?: Readonly<Record<string, string>>; readonly checksControl?: boolean } = {}): Promise<CheckedStack> {
  let decision: Decision = () => 'go';
  const { file } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' });
  const checkpoints = await startCheckpoints((at) => decision(at));
  try {
    const { dir, hosts, env, checksControl } = options;
    const stack = await startStack({ ...(dir ? { dir } : {}), ...(hosts ? { hosts } : {}), replace: { agentFile: file, ...(checksControl ? { controlEntry: 'test/support/programs/control.ts' } : {}), env: { FAIRLEAD_ROUTER: 'embedded', ...env, ...checkpoints.env } } });
    return {
      ...stack,
      decide(next) {
        decision = next;
      },
      pidOf(name) {
        const pid = stack.dev.pids()[name];
        if (!pid) throw new Error(`${name} does not run now`);
        return pid;
      },
      async end() {
        decision = () => 'go';
        await stack.end();
        await checkpoints.stop();
      },
    };
  } catch (error) {
    await checkpoints.stop();
    throw error;
  }
}

/** Sends SIGKILL to each process by its pid, and waits until all are gone. */
export async function killProcesses(pids: readonly number[]): Promise<void> {
  const victims = (await Promise.all(pids.map((pid) => readProcess(pid)))).filter((found) => found !== null);
  for (const { pid } of victims) signal(pid, 'SIGKILL');
  for (const victim of victims) await untilGone(victim);
}

async function untilGone(victim: ProcessIdentity): Promise<void> {
  while (await isAlive(victim)) await new Promise((resolve) => setTimeout(resolve, 5));
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ESRCH') throw error; // A child of one that has just been killed may be gone with it.
  }
}

/** The process and everything that it started and that still runs. */
export async function withDescendants(pid: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const name of await fs.readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await fs.readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    const parent = Number(/^.*\) \S (\d+)/s.exec(stat)?.[1]);
    if (parent) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [pid];
  for (const at of found) found.push(...(children.get(at) ?? []));
  return found;
}
