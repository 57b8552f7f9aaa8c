import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ensureDirectory, readIfThere, removeFileDurably, writeFileDurably } from '../../adapters/files/durable.ts';
import { createTurns } from '../../adapters/process/turns.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostAct } from '../../domain/host/state.ts';
import type { ProductName } from '../../domain/ids.ts';

/** A host that nobody listens to for months must not fill its disk with this. */
const keptActs = 100;

/**
 * What the agent did to its host without a run, kept until control has written it into the audit. It is written down before it is done, so
 * that a crash in between leaves a note too many, never one too few.
 */
export interface ActJournal {
  note(product: ProductName, act: Omit<HostAct, 'id' | 'at'>): Promise<void>;
  read(product: ProductName): Promise<HostAct[]>;
  forget(product: ProductName, ids: readonly string[]): Promise<void>;
}

export function createActJournal(root: string, now: () => Date = () => new Date()): ActJournal {
  const fileOf = (product: ProductName) => join(hostLayout(root, product).fairleadDir, 'acts.json');
  const inTurn = createTurns();

  async function read(product: ProductName): Promise<HostAct[]> {
    try {
      const kept = JSON.parse((await readIfThere(fileOf(product))) ?? '[]') as HostAct[];
      return Array.isArray(kept) ? kept : [];
    } catch {
      return []; // Somebody edited it. What it said is in the agent's log as well.
    }
  }

  return {
    note: (product, act) =>
      inTurn(product, async () => {
        await ensureDirectory(hostLayout(root, product).fairleadDir, 0o700);
        const kept = [...(await read(product)), { id: randomUUID(), at: now().toISOString(), ...act }].slice(-keptActs);
        await writeFileDurably(fileOf(product), `${JSON.stringify(kept, null, 2)}\n`);
      }),
    read,
    forget: (product, ids) =>
      inTurn(product, async () => {
        const kept = await read(product);
        const left = kept.filter(({ id }) => !ids.includes(id));
        if (left.length === kept.length) return;
        if (left.length === 0) await removeFileDurably(fileOf(product));
        else await writeFileDurably(fileOf(product), `${JSON.stringify(left, null, 2)}\n`);
      }),
  };
}
