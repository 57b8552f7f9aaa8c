// Copies the rows and their generation to FAIRLEAD_BACKUP_DIR. Run by the release that is about to be replaced.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runHook } from '../lib/hook.mjs';
import { readLines, rowsFile, schemaFile, setupFile, syncPath } from '../lib/store.mjs';

runHook('backup', () => {
  const target = process.env.FAIRLEAD_BACKUP_DIR;
  if (!target) throw new Error('FAIRLEAD_BACKUP_DIR is not set');
  mkdirSync(target, { recursive: true });
  for (const file of [rowsFile, schemaFile, setupFile].filter(existsSync)) {
    copyFileSync(file, join(target, basename(file)));
    syncPath(join(target, basename(file)));
  }
  syncPath(target);
  return `${readLines(rowsFile).length} rows`;
});
