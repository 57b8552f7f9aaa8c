import { constants } from 'node:os';
import type { ReleaseId } from '../../../domain/ids.ts';
import type { UnitStatus } from '../../../ports/service-manager.ts';

/** What `systemctl show` is asked for. */
export const shownProperties = [
  'Id',
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'ExecMainCode',
  'ExecMainStatus',
  'ExecMainStartTimestampMonotonic',
  'MainPID',
  'NRestarts',
  'InvocationID',
  'NeedDaemonReload',
] as const;

export interface UnitFacts {
  readonly loadState: string;
  readonly activeState: string;
  readonly subState: string;
  readonly result: string;
  /** `si_code` of sigaction(2): 1 exited, 2 killed, 3 killed and dumped core; 0 where no process has ended. */
  readonly mainCode: number;
  /** The exit status or the signal's number, as `mainCode` says. */
  readonly mainStatus: number;
  /** When the unit's own program was started last, in microseconds of the machine's clock since its boot; 0 where it never was. */
  readonly mainStartedAt: number;
  readonly mainPid: number | null;
  /** How often systemd itself started it anew since it was last asked to. */
  readonly restarts: number;
  readonly invocationId: string | null;
  /** Whether files have changed since systemd read them. */
  readonly needsReload: boolean;
}

/** Reads the answer of `systemctl show` for one unit or more, in the order asked. Null where any of them cannot be read: then nothing is known. */
export function parseShow(text: string): UnitFacts[] | null {
  const blocks = text.split(/\n[ \t]*\n/).filter((block) => block.trim() !== '');
  const facts = blocks.map(parseBlock);
  return facts.length === 0 || facts.includes(null) ? null : (facts as UnitFacts[]);
}

function parseBlock(block: string): UnitFacts | null {
  const values = new Map(
    block.split('\n').flatMap((line) => {
      const equals = line.indexOf('=');
      return equals === -1 ? [] : [[line.slice(0, equals), line.slice(equals + 1).trim()] as const];
    }),
  );
  const [activeState, loadState] = [values.get('ActiveState'), values.get('LoadState')];
  if (activeState === undefined || loadState === undefined) return null;
  // Targets have no processes, and therefore none of these.
  const number = (name: string): number => Number(values.get(name) ?? '0');
  const numbers = { mainCode: number('ExecMainCode'), mainStatus: number('ExecMainStatus'), mainStartedAt: number('ExecMainStartTimestampMonotonic'), mainPid: number('MainPID'), restarts: number('NRestarts') };
  if (!Object.values(numbers).every((value) => Number.isInteger(value) && value >= 0)) return null;
  return {
    ...numbers,
    mainPid: numbers.mainPid === 0 ? null : numbers.mainPid,
    loadState,
    activeState,
    subState: values.get('SubState') ?? '',
    result: values.get('Result') ?? '',
    invocationId: values.get('InvocationID') || null,
    needsReload: values.get('NeedDaemonReload') === 'yes',
  };
}

/**
 * A unit that has failed and waits for systemd to start it anew counts as failed: whoever watches a start must not take it for one that is still
 * on its way.
 */
export function statusOf({ activeState, subState }: Pick<UnitFacts, 'activeState' | 'subState'>): UnitStatus {
  switch (activeState) {
    case 'active':
    case 'reloading':
    case 'refreshing':
      return 'active';
    case 'inactive':
    case 'failed':
      return activeState;
    case 'activating':
      return subState.startsWith('auto-restart') ? 'failed' : 'starting';
    case 'deactivating':
      return 'draining';
    default:
      return 'unknown';
  }
}

/** How the last process ended: `exit 1`, `SIGSEGV`; null where none has, or one runs. */
export function lastExitOf({ mainCode, mainStatus, mainPid }: Pick<UnitFacts, 'mainCode' | 'mainStatus' | 'mainPid'>): string | null {
  if (mainPid !== null) return null;
  if (mainCode === 1) return `exit ${mainStatus}`;
  if (mainCode === 2 || mainCode === 3) return Object.entries(constants.signals).find(([, number]) => number === mainStatus)?.[0] ?? `signal ${mainStatus}`;
  return null;
}

type MainProcess = Pick<UnitFacts, 'mainCode' | 'mainStatus' | 'mainPid' | 'mainStartedAt'>;

/**
 * Whether the unit's own program was started since `before`, and ran. systemd ends a process that it could not turn into the program with a status
 * from 200 on (systemd.exec(5), "Process Exit Codes").
 */
export function hasRunSince(before: Pick<UnitFacts, 'mainStartedAt'>, { mainCode, mainStatus, mainPid, mainStartedAt }: MainProcess): boolean {
  if (mainStartedAt === before.mainStartedAt) return false;
  if (mainPid !== null) return true;
  return mainCode === 2 || mainCode === 3 || (mainCode === 1 && mainStatus < 200);
}

/** What the unit noted at its start. @returns the release; null where the note is of another invocation, or none */
export function parseInvocation(text: string | null, invocationId: string | null): ReleaseId | null {
  const match = /^([0-9a-f]{32}) (\S+)\n$/.exec(text ?? '');
  return match !== null && match[1] === invocationId ? (match[2] as ReleaseId) : null;
}
