import * as fs from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostState } from '../../domain/host/state.ts';
import type { ProductName, RunId } from '../../domain/ids.ts';
import type { BackupStore } from '../../ports/backup-store.ts';
import { ensureDirectory, exists, isMissing, readIfThere, removeFileDurably, syncDirectory, writeFileDurably } from '../files/durable.ts';

/** What `backup.json` in a backup says; written last, so its presence is what makes a backup trusted. */
interface BackupMark {
  readonly schema: 1;
  readonly runId: RunId;
  readonly takenAt: string;
  readonly bytes: number;
  /** Where each copied path came from, and its folder below `paths/`. */
  readonly paths: readonly { readonly from: string; readonly copy: string }[];
}

const markName = 'backup.json';

interface Dependencies {
  readonly root: string;
  /** Makes everything below a directory durable. */
  readonly syncTree: (directory: string) => Promise<void>;
  /** Copies with owners and modes. */
  readonly copyTree: (from: string, to: string) => Promise<void>;
}

/** Backups as directories below `<state root>/fairlead/backups/<runId>`. */
export function createBackupStore({ root, syncTree, copyTree }: Dependencies): BackupStore {
  async function copyIfThere(from: string, to: string): Promise<boolean> {
    if (!(await exists(from))) return false;
    await ensureDirectory(dirname(to), 0o700);
    await copyTree(from, to);
    return true;
  }

  const layoutOf = (product: ProductName) => hostLayout(root, product);

  async function readMark(directory: string): Promise<BackupMark | null> {
    const text = await readIfThere(join(directory, markName));
    return text === null ? null : (JSON.parse(text) as BackupMark);
  }

  async function marked(product: ProductName, runId: RunId): Promise<{ directory: string; mark: BackupMark }> {
    const directory = layoutOf(product).backupDir(runId);
    const mark = await readMark(directory);
    if (mark) return { directory, mark };
    throw new FairleadError({
      class: 'host',
      code: 'backup_incomplete',
      message: `The backup at ${directory} is not there or was never finished (${markName} is missing).`,
      hint: `Look for another backup in ${dirname(directory)}.`,
    });
  }

  return {
    path: (product, runId) => layoutOf(product).backupDir(runId),
    isComplete: async (product, runId) => (await readMark(layoutOf(product).backupDir(runId))) !== null,

    async take(product, runId, paths, extra) {
      const layout = layoutOf(product);
      const directory = layout.backupDir(runId);
      const before = await readMark(directory);
      if (before) return { path: directory, bytes: before.bytes };
      await fs.rm(directory, { recursive: true, force: true }); // What an attempt before this one left half-way.
      try {
        await ensureDirectory(directory, 0o700);
        await copyIfThere(layout.configDir, join(directory, 'config'));
        await copyIfThere(layout.stateFile, join(directory, 'state.json'));
        for (const name of await fs.readdir(layout.routerDir).catch(() => [])) {
          if (name.endsWith('.conf') || name.endsWith('.json')) await copyIfThere(join(layout.routerDir, name), join(directory, 'router', name));
        }
        const copied: { from: string; copy: string }[] = [];
        for (const [index, from] of paths.entries()) {
          const copy = join('paths', `${index}-${basename(from)}`);
          if (await copyIfThere(from, join(directory, copy))) copied.push({ from, copy });
        }
        await ensureDirectory(join(directory, 'hook'), 0o700);
        await extra(join(directory, 'hook'));
        const bytes = await sizeOf(directory);
        await syncTree(directory);
        const mark: BackupMark = { schema: 1, runId, takenAt: new Date().toISOString(), bytes, paths: copied };
        await writeFileDurably(join(directory, markName), `${JSON.stringify(mark, null, 2)}\n`);
        await syncDirectory(dirname(directory));
        return { path: directory, bytes };
      } catch (error) {
        // On a full disk, half a backup would hold the room that the way back needs.
        await fs.rm(directory, { recursive: true, force: true });
        throw error;
      }
    },

    async readState(product, runId) {
      const { directory } = await marked(product, runId);
      const text = await readIfThere(join(directory, 'state.json'));
      return text === null ? null : (JSON.parse(text) as HostState);
    },

    async restorePaths(product, runId) {
      const { directory, mark } = await marked(product, runId);
      for (const { from, copy } of mark.paths) {
        const fresh = `${from}.restoring`;
        await fs.rm(fresh, { recursive: true, force: true });
        await copyIfThere(join(directory, copy), fresh);
        await syncTree(fresh);
        // Not one step: rename(2) does not replace a full directory. A crash in between leaves the old one under its own name, and a retry goes on.
        await fs.rm(`${from}.replaced`, { recursive: true, force: true });
        if (await exists(from)) await fs.rename(from, `${from}.replaced`);
        await fs.rename(fresh, from);
        await syncDirectory(dirname(from));
        await fs.rm(`${from}.replaced`, { recursive: true, force: true });
      }
    },

    async restoreConfiguration(product, runId) {
      const { directory } = await marked(product, runId);
      const { configDir } = layoutOf(product);
      const names = await fs.readdir(join(directory, 'config')).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
      for (const name of names) {
        const source = join(directory, 'config', name);
        if ((await fs.lstat(source)).isFile()) await writeFileDurably(join(configDir, name), await fs.readFile(source));
      }
    },

    async list(product) {
      const { backupsDir } = layoutOf(product);
      const found: { runId: RunId; takenAt: string }[] = [];
      for (const name of await fs.readdir(backupsDir).catch((error) => (isMissing(error) ? [] : Promise.reject(error)))) {
        const mark = await readMark(join(backupsDir, name));
        found.push({ runId: name as RunId, takenAt: mark?.takenAt ?? '' });
      }
      return found.sort((a, b) => (a.takenAt < b.takenAt ? 1 : -1));
    },

    async remove(product, runId) {
      const directory = layoutOf(product).backupDir(runId);
      if (!(await exists(directory))) return;
      await removeFileDurably(join(directory, markName));
      await fs.rm(directory, { recursive: true, force: true });
      await syncDirectory(dirname(directory));
    },
  };
}

async function sizeOf(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await fs.readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await fs.lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
