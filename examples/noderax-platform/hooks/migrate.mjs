// Takes the rows to this release's generation. Here only the generation changes; a second run finds it done.
import { runHook } from '../lib/hook.mjs';
import { releaseId } from '../lib/release.mjs';
import { readJson, schemaFile, writeJson } from '../lib/store.mjs';
import { generation } from './schema.mjs';

runHook('migrate', () => {
  const before = readJson(schemaFile, { generation: 0 }).generation;
  if (before >= generation) return `rows are of generation ${before}: nothing to do`;
  writeJson(schemaFile, { generation, migratedBy: releaseId, at: new Date().toISOString() });
  return `rows taken from generation ${before} to ${generation}`;
});
