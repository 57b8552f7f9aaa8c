import { constants } from 'node:os';
import type { ReleaseId } from '../../../domain/ids.ts';
import { labels } from './compose-file.ts';

/** A container as `docker container inspect` tells it: the fields that are the same from Docker 1.13 on. */
export interface Container {
  readonly id: string;
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead' | 'unknown';
  readonly releaseId: ReleaseId | null;
  /** Of docker-init, on the host; null where nothing runs. */
  readonly pid: number | null;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why the daemon could not start it; empty where it could. */
  readonly error: string;
  readonly startedAtMs: number | null;
  readonly restartPolicy: string;
}

const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;

/** @returns null for a text that describes no container */
export function parseInspect(text: string): Container | null {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  const container = (Array.isArray(found) ? found[0] : null) as {
    Id?: string;
    State?: { Status?: string; Pid?: number; ExitCode?: number; OOMKilled?: boolean; Error?: string; StartedAt?: string };
    Config?: { Labels?: Record<string, string> | null };
    HostConfig?: { RestartPolicy?: { Name?: string } };
  } | null;
  if (typeof container?.Id !== 'string' || container.State === undefined) return null;
  const { Status, Pid, ExitCode, OOMKilled, Error: error, StartedAt } = container.State;
  const startedAtMs = Date.parse(StartedAt ?? '');
  return {
    id: container.Id,
    state: states.find((state) => state === Status) ?? 'unknown',
    releaseId: (container.Config?.Labels?.[labels.release] ?? null) as ReleaseId | null,
    pid: Pid === undefined || Pid === 0 ? null : Pid,
    exitCode: ExitCode ?? 0,
    oomKilled: OOMKilled ?? false,
    error: error ?? '',
    // A container that never started tells the year 1.
    startedAtMs: Number.isNaN(startedAtMs) || startedAtMs <= 0 ? null : startedAtMs,
    restartPolicy: container.HostConfig?.RestartPolicy?.Name ?? '',
  };
}

/** Docker 20.10 says `No such container`, and `docker inspect` of some versions `No such object`. Every other failure leaves open what runs. */
export const saysNoSuchContainer = (stderr: string): boolean => /no such (container|object)/i.test(stderr);
export const saysNoSuchImage = (stderr: string): boolean => /no such image/i.test(stderr);
/** A signal for a container that has ended meanwhile. */
export const saysNotRunning = (stderr: string): boolean => /is not running/i.test(stderr);

/** `exit 7`, `SIGKILL`, `SIGKILL (out of memory)`. docker-init ends as its child did, and like a shell with 128 and the number of the signal. */
export function exitOf({ exitCode, oomKilled }: Pick<Container, 'exitCode' | 'oomKilled'>): string {
  if (oomKilled) return 'SIGKILL (out of memory)';
  return Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0] ?? `exit ${exitCode}`;
}

/** Whether docker-init (tini) could not run the program at all: 127 where there is none, 126 where it may not be run, and it says so itself. */
export const saysProgramMissing = (exitCode: number, log: readonly string[]): boolean => (exitCode === 127 || exitCode === 126) && log.some((line) => /^\[FATAL tini \(\d+\)\] exec .* failed: /.test(line));

/**
 * The last `count` lines that an instance wrote, in the order in which the daemon received them. Standard output and standard error of
 * `docker logs --timestamps` begin each line with a time (RFC 3339 with nanoseconds, always UTC).
 */
export function mergeLogs(stdout: string, stderr: string, count: number): string[] {
  const lines = [stdout, stderr].flatMap((text) => text.split('\n').filter((line) => line !== ''));
  const stamped = lines.map((line) => {
    const [, time = '', said = line] = /^(\S+Z) ?(.*)$/.exec(line) ?? [];
    // The daemon leaves out the zeros at the end of the fraction, and `.` sorts before `Z`.
    const [second = '', fraction = ''] = time.slice(0, -1).split('.');
    return { at: `${second}.${fraction.padEnd(9, '0')}`, said };
  });
  return stamped.sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0)).map(({ said }) => said).slice(-count);
}

/** What `docker load` says that it made: a name, or the id of an image without one. */
export function parseLoaded(stdout: string): string | null {
  return /^Loaded image(?: ID)?: (\S+)$/m.exec(stdout)?.[1] ?? null;
}

/** The version that `docker compose version` or `docker-compose version` tells: `2.29.1`, `1.29.2`; null for any other text, such as the help that some clients print instead. */
export function parseComposeVersion(stdout: string): string | null {
  return /compose version:? v?(\d+\.\d+[^\s,]*)/i.exec(stdout)?.[1] ?? null;
}
