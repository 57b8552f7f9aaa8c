import { randomBytes } from 'node:crypto';
import { readIfThere, writeFileDurably } from '../../adapters/files/durable.ts';
import { bootId } from '../../adapters/process/proc.ts';
import type { ProcessIdentity } from '../../adapters/process/proc.ts';

/** `dev.json`: what outlives a start. Ports are asked for again at the next one; processes are what a killed one left behind. */
export interface DevState {
  readonly schema: 1;
  readonly id: string;
  readonly bootId: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly processes: Readonly<Record<string, ProcessIdentity & { readonly signal: 'SIGTERM' | 'SIGINT' }>>;
}

/** Reads the state, or makes an empty one: also where the file is damaged, since all that is lost are port numbers. */
export async function readDevState(path: string): Promise<DevState> {
  const fresh: DevState = { schema: 1, id: randomBytes(6).toString('hex'), bootId: bootId(), ports: {}, processes: {} };
  const text = await readIfThere(path);
  if (text === null) return fresh;
  try {
    const found = JSON.parse(text) as Partial<DevState>;
    if (found.schema !== 1 || typeof found.id !== 'string' || !/^[0-9a-f]{12}$/.test(found.id)) return fresh;
    // Start times are counted from the boot: after another boot they name nothing.
    const sameBoot = found.bootId === bootId();
    return { ...fresh, id: found.id, ports: found.ports ?? {}, processes: sameBoot ? (found.processes ?? {}) : {} };
  } catch {
    return fresh;
  }
}

/** Holds the state and writes every change before it returns, one at a time. */
export function createDevState(path: string, initial: DevState) {
  let state = initial;
  let writing: Promise<void> = Promise.resolve();
  const change = (next: Partial<DevState>): Promise<void> => {
    state = { ...state, ...next };
    writing = writing.then(() => writeFileDurably(path, `${JSON.stringify(state, null, 2)}\n`, 0o600));
    return writing;
  };
  return {
    current: () => state,
    rememberPort: (name: string, port: number) => change({ ports: { ...state.ports, [name]: port } }),
    rememberProcess: (name: string, identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGINT') => change({ processes: { ...state.processes, [name]: { ...identity, signal } } }),
    forgetProcesses: () => change({ processes: {} }),
  };
}
export type DevStateStore = ReturnType<typeof createDevState>;
