import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { InstanceSpec } from '../../ports/service-manager.ts';

/** Where programs are looked for. */
export const minimalPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The PATH of instances. The agent's own runtime comes last: it only helps where the machine has no other. */
export const instancePath = `${minimalPath}${delimiter}${dirname(process.execPath)}`;

/** The first word of the command: a program of the release, else one of the PATH; null where it is neither. */
export function findProgram(spec: Pick<InstanceSpec, 'command' | 'releaseDir'>, path: string): string | null {
  const word = spec.command[0];
  if (word === undefined || word === '') return null;
  const candidates = [resolve(spec.releaseDir, word), ...(word.includes('/') ? [] : path.split(delimiter).map((directory) => join(directory, word)))];
  return candidates.find(isProgram) ?? null;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
