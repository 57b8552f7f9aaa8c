import { readFileSync } from 'node:fs';
import type { RunningDev } from '../../src/runtime/dev/index.ts';

/** Where the instance's database is, as its control worker was given it. */
export function databaseUrlOf(dev: RunningDev): string {
  const environment = readFileSync(`/proc/${dev.pids()['control']}/environ`, 'utf8').split('\0');
  return environment.find((entry) => entry.startsWith('FAIRLEAD_DATABASE_URL='))?.slice('FAIRLEAD_DATABASE_URL='.length) ?? '';
}
