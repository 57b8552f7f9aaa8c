import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandRunner } from '../../ports/command-runner.ts';
import { syncDirectory } from './durable.ts';

/** Makes everything below a directory durable: contents, names and modes. */
export type SyncTree = (directory: string) => Promise<void>;

const syncTimeoutMs = 10 * 60_000;

/**
 * `sync -f DIR` is one syncfs(2) for the whole file system: far cheaper than an fsync for each of thousands of files, and since Linux 5.8
 * it reports write errors. Where the command cannot do it, every file and directory is synced by itself.
 */
export function createSyncTree(commands: CommandRunner): SyncTree {
  return async (directory) => {
    const { exitCode } = await commands.run(['sync', '-f', directory], { timeoutMs: syncTimeoutMs });
    if (exitCode !== 0) await syncEach(directory);
  };
}

/** Syncs each file, then each directory from the inside out. Needs no other program; bounded in open files. */
export async function syncEach(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncEach(path);
    else if (entry.isFile()) await syncFile(path);
  }
  await syncDirectory(directory);
}

async function syncFile(path: string): Promise<void> {
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
