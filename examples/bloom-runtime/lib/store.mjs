import { closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { dataDir } from './release.mjs';

const settingsFile = join(dataDir, 'settings.json');
const tasksFile = join(dataDir, 'tasks.jsonl');
const auditFile = join(dataDir, 'audit.jsonl');
const bootsFile = join(dataDir, 'boots.log');

/** The state of the product: files that both instances share, and that outlive every one of them. */
mkdirSync(dataDir, { recursive: true, mode: 0o700 });

export const readSettings = () => (existsSync(settingsFile) ? JSON.parse(readFileSync(settingsFile, 'utf8')) : {});

/** Readers see the old settings or the new ones, also after a power cut. A key is among them. */
export function writeSettings(settings) {
  const temporary = `${settingsFile}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
  sync(temporary);
  renameSync(temporary, settingsFile);
  sync(dataDir);
}

export const readTasks = () => readLines(tasksFile);
export const addTask = (task) => appendLine(tasksFile, task);
export const readAudit = () => readLines(auditFile).slice(-100);
export const addAudit = (entry) => appendLine(auditFile, { at: new Date().toISOString(), ...entry });
/** Which instance started when, on which release. */
export const addBoot = (boot) => appendLine(bootsFile, boot);

/** One line in one write: with O_APPEND the kernel puts it at the end whoever else writes. Durable when it returns. */
function appendLine(file, value) {
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(value)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A line that another instance is writing may be there in part: what stands behind the last line end is left for the next look. */
function readLines(file) {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

function sync(path) {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
