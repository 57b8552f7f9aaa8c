import { constants } from 'node:os';
import type { ReleaseId } from '../../../domain/ids.ts';

/** What OpenRC says of a service. `inactive` is its word for one that waits for something; a service that is not started is `stopped`. */
export type OpenRcState = 'started' | 'stopped' | 'stopping' | 'starting' | 'inactive' | 'crashed' | 'unsupervised';

/** The exit status of `rc-service NAME status` (supervise-daemon.sh of OpenRC 0.45); null for every other one: then OpenRC could not be asked. */
export function parseStatusExit(exitCode: number | null): OpenRcState | null {
  switch (exitCode) {
    case 0:
      return 'started';
    case 3:
      return 'stopped';
    case 4:
      return 'stopping';
    case 8:
      return 'starting';
    case 16:
      return 'inactive';
    case 32:
      return 'crashed';
    case 64:
      return 'unsupervised';
    default:
      return null;
  }
}

/** What a process wrote down of itself before it turned into the program. */
export interface ProcessNote {
  readonly launchId: string;
  readonly bootId: string;
  readonly pid: number;
  readonly startTicks: string;
  readonly releaseId: ReleaseId;
}

/** Null for a text that is no note: it is then treated as missing, because the processes tell the rest. */
export function parseProcessNote(text: string | null): ProcessNote | null {
  const match = /^(\S+) (\S+) (\d+) (\d+) (\S+)\n$/.exec(text ?? '');
  if (match === null) return null;
  const [, launchId = '', bootId = '', pid = '', startTicks = '', releaseId = ''] = match;
  return { launchId, bootId, pid: Number(pid), startTicks, releaseId: releaseId as ReleaseId };
}

/** @returns `exit 1` or `SIGSEGV`; null where the note is of another launch, or none */
export function parseExitNote(text: string | null, launchId: string): string | null {
  const match = /^(\S+) (\d+)\n$/.exec(text ?? '');
  if (match === null || match[1] !== launchId) return null;
  const status = Number(match[2]);
  // POSIX sh reports a signal as a status above 128; all shells in use add its number to 128.
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return signal ?? `exit ${status}`;
}

/** Whether `rc-update del` failed because there was nothing to take away. */
export const saysNotInRunlevel = (output: string): boolean => /is not in the runlevel|not in runlevel/.test(output);
