import { closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dataDir } from './release.mjs';

export const rowsFile = join(dataDir, 'rows.jsonl');
export const bootsFile = join(dataDir, 'boots.log');
export const schemaFile = join(dataDir, 'schema.json');
export const setupFile = join(dataDir, 'setup.json');

/** Appends one line in one write: with O_APPEND the kernel puts it at the end whoever else writes, so that both instances share the file. Durable when it returns. */
export function appendLine(file, value) {
  mkdirSync(dirname(file), { recursive: true });
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640);
  try {
    writeSync(descriptor, `${JSON.stringify(value)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

export function readLines(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** Counts lines and keeps the last hundred, reading only what was added since it was asked before. A file that became shorter was restored: it is read anew. */
export function createTail(file) {
  let offset = 0;
  let total = 0;
  let last = [];
  return () => {
    const size = existsSync(file) ? statSync(file).size : 0;
    if (size < offset) [offset, total, last] = [0, 0, []];
    if (size > offset) {
      const added = Buffer.alloc(size - offset);
      const descriptor = openSync(file, 'r');
      readSync(descriptor, added, 0, added.length, offset);
      closeSync(descriptor);
      // A line that another instance is writing may be there in part.
      const whole = added.lastIndexOf(10) + 1;
      const rows = added.subarray(0, whole).toString('utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
      offset += whole;
      total += rows.length;
      last = [...last, ...rows].slice(-100);
    }
    return { total, rows: last };
  };
}

export function readJson(file, fallback) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : fallback;
}

/** Readers see the old document or the new one; a power cut takes back neither. */
export function writeJson(file, value) {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o640 });
  syncPath(temporary);
  renameSync(temporary, file);
  syncPath(dirname(file));
}

export function syncPath(path) {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
