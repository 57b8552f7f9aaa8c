// Puts back what `backup` kept. Each file is replaced in one step; a second run does the same again.
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { runHook } from '../lib/hook.mjs';
import { rowsFile, schemaFile, setupFile, syncPath } from '../lib/store.mjs';
import { dataDir } from '../lib/release.mjs';

runHook('restore', () => {
  const source = process.env.FAIRLEAD_BACKUP_DIR;
  if (!source || !existsSync(source)) throw new Error(`there is no backup at ${source ? resolve(source) : 'FAIRLEAD_BACKUP_DIR, which is not set'}`);
  mkdirSync(dataDir, { recursive: true });
  for (const file of [rowsFile, schemaFile, setupFile]) {
    const kept = join(source, basename(file));
    // What was not there before the update is not there after the way back.
    if (!existsSync(kept)) {
      rmSync(file, { force: true });
      continue;
    }
    copyFileSync(kept, `${file}.restore`);
    syncPath(`${file}.restore`);
    renameSync(`${file}.restore`, file);
  }
  syncPath(dataDir);
  return `restored ${readdirSync(source).length} files`;
});
