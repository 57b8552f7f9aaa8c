import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateDir } from './release.mjs';

/** Who has said hello, one file a node, which all instances of the hub share. */
const directory = join(stateDir, 'data/nodes');

export function writeNode(name, record) {
  mkdirSync(directory, { recursive: true });
  const temporary = join(directory, `.${name}.${process.pid}`);
  writeFileSync(temporary, `${JSON.stringify(record)}\n`);
  renameSync(temporary, join(directory, `${name}.json`));
}

export function readNode(name) {
  try {
    return JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

export function listNodes() {
  mkdirSync(directory, { recursive: true });
  return readdirSync(directory).filter((file) => file.endsWith('.json') && !file.startsWith('.')).sort().map((file) => ({ node: file.slice(0, -'.json'.length), ...readNode(file.slice(0, -'.json'.length)) }));
}
