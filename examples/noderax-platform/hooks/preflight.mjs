// Before anything is touched: can this release run here, and can it read what is there?
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { runHook } from '../lib/hook.mjs';
import { dataDir } from '../lib/release.mjs';
import { readJson, schemaFile } from '../lib/store.mjs';
import { generation, readsFrom } from './schema.mjs';

runHook('preflight', () => {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) throw new Error(`Node ${process.versions.node} is too old; this release needs 20 or newer`);
  if (!existsSync(dataDir)) mkdirSync(dataDir, { recursive: true });
  accessSync(dataDir, constants.W_OK);
  const found = readJson(schemaFile, { generation }).generation;
  if (found < readsFrom) throw new Error(`the rows are of generation ${found}; this release reads ${readsFrom} and newer`);
  return `Node ${process.versions.node}, rows of generation ${found}`;
});
