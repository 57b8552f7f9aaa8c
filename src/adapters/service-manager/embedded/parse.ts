import { constants } from 'node:os';
import type { ReleaseId } from '../../../domain/ids.ts';

/** `<runtimeDir>/<instance>.json`. A memory aid: which processes run is asked of the kernel. */
export interface InstanceRecord {
  readonly schema: 1;
  readonly launchId: string;
  readonly releaseId: ReleaseId;
  readonly pid: number | null;
  readonly startTicks: string | null;
  readonly bootId: string;
  readonly startedAt: string;
  /** Set before the stop signal is sent: an end after it was asked for, and is no failure. */
  readonly stopRequestedAt: string | null;
}

/** Null for a text that is no record: it is then treated as missing, because the processes tell the rest. */
export function parseRecord(text: string | null): InstanceRecord | null {
  if (text === null) return null;
  try {
    const record = JSON.parse(text) as InstanceRecord;
    return record.schema === 1 && typeof record.launchId === 'string' ? record : null;
  } catch {
    return null;
  }
}

/** Reads what the watcher wrote: launch id and the shell's exit status. @returns `exit 1` or `SIGSEGV`; null where it is of another launch. */
export function parseExit(text: string | null, launchId: string): string | null {
  const match = /^(\S+) (\d+)\n$/.exec(text ?? '');
  if (match === null || match[1] !== launchId) return null;
  const status = Number(match[2]);
  // POSIX sh reports a signal as a status above 128; all shells in use add its number to 128.
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return signal ?? `exit ${status}`;
}
