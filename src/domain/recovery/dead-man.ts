import type { HostLayout } from '../host/layout.ts';
import type { InstanceName, ProductName, ReleaseId, RunId } from '../ids.ts';
import { quoteForShell } from '../shell-word.ts';
import { switchLines } from './script.ts';

/** What a dead-man does unless it is disarmed. */
export interface DeadManOrder {
  readonly product: ProductName;
  readonly runId: RunId;
  /** The release to go back to: the one that was good when the run began. */
  readonly releaseId: ReleaseId;
  /** Instances that were told to run the new release, each with the lines that end it and start it on `releaseId`. Those that still run the old one are left alone. */
  readonly restarts: readonly { readonly instance: InstanceName; readonly lines: readonly string[] }[];
}

/** Where the dead-man of a run keeps what it goes by, in `handoverDir`. */
export const deadManFiles = (layout: HostLayout, runId: RunId) => {
  const base = `${layout.handoverDir}/${runId}`;
  return {
    /** Its deadline, in whole seconds since the machine's boot. There as long as it is armed; renamed to `acted` before it acts, so that it cannot be disarmed and act. */
    armed: `${base}.armed`,
    acted: `${base}.acted`,
    /** There when it has done what it could. */
    done: `${base}.done`,
    given: `${base}.json`,
    /** Waits. */
    watch: `${base}.watch.sh`,
    /** Takes the host back; replaced as a whole while the other one waits. */
    act: `${base}.act.sh`,
    log: `${base}.log`,
  };
};

/**
 * A POSIX `sh` script that waits for the deadline in the `armed` file, which is put off while the run goes on, and then becomes the script that acts. It ends
 * where it is disarmed, and decides nothing but the time, which is that since boot (proc_uptime(5)): no clock that is set can move it.
 */
export function renderDeadManWatch(layout: HostLayout, runId: RunId): string {
  const { armed, acted, act } = deadManFiles(layout, runId);
  const q = quoteForShell;
  return [
    '#!/bin/sh',
    `# Waits for the deadline of run ${runId}, and then takes the host back.`,
    'while :; do',
    `  deadline=$(cat ${q(armed)} 2>/dev/null) || exit 0`,
    '  read -r up rest </proc/uptime',
    '  if [ "${up%%.*}" -ge "${deadline:-0}" ]; then break; fi',
    '  sleep 1',
    'done',
    // One rename decides: whoever wants to disarm it finds the file gone.
    `mv ${q(armed)} ${q(acted)} 2>/dev/null || exit 0`,
    'sync 2>/dev/null',
    `echo "run ${runId} was not heard of until $deadline s after boot"`,
    `exec /bin/sh ${q(act)}`,
    '',
  ].join('\n');
}

/**
 * A POSIX `sh` script that takes Fairlead back to the last good release: for an agent or a control plane that did not come up on the new one, and that nobody
 * else can reach. It leaves state and intent to the run, which finds them as they were and the old release at work.
 */
export function renderDeadMan(layout: HostLayout, { product, runId, releaseId, restarts }: DeadManOrder): string {
  return [
    '#!/bin/sh',
    `# Takes ${product} back to release ${releaseId}, from which run ${runId} was leading it away.`,
    'set -u',
    'failed=0',
    "say() { printf '%s\\n' \"$*\"; }",
    'check() { if [ "$1" -ne 0 ]; then failed=1; say "  FAILED: $2"; fi; }',
    ...switchLines(layout, releaseId),
    ...restarts.flatMap(({ instance, lines }) => [`say 'starting ${instance} on ${releaseId}'`, ...lines]),
    'sync 2>/dev/null',
    `: >${quoteForShell(deadManFiles(layout, runId).done)}`,
    'say "done, failed: $failed"',
    '',
  ].join('\n');
}

/** A script that lets the agent answer first, and then puts its successor in its place. @param lines end the instance and start it on its release */
export const renderSuccessor = (instance: InstanceName, releaseId: ReleaseId, lines: readonly string[]): string =>
  ['#!/bin/sh', `# Replaces ${instance} by one on release ${releaseId}. The agent that asked for it has gone by the end.`, 'set -u', `sleep ${answersWithinSeconds}`, ...lines, ''].join('\n');

/** The answer that the successor was asked for is with the server by then, or is given again by the successor. */
const answersWithinSeconds = 2;
