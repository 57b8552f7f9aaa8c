import type { HostLayout } from '../host/layout.ts';
import type { HostState } from '../host/state.ts';
import { quoteForShell } from '../shell-word.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../ids.ts';

export interface RecoveryScriptInput {
  readonly host: HostId;
  readonly product: ProductName;
  readonly runId: RunId;
  readonly writtenAt: string;
  readonly layout: HostLayout;
  /** The release to go back to; null where there was none before: then the product is stopped and `current` removed. */
  readonly lastGoodReleaseId: ReleaseId | null;
  readonly attemptedReleaseId: ReleaseId;
  readonly backupPath: string | null;
  /** Lines that put the backed-up data back; empty where the data stays. */
  readonly restoreData: readonly string[];
  /** For each instance that must run afterwards, the lines that bring it up on the last good release. */
  readonly start: readonly { readonly instance: InstanceName; readonly lines: readonly string[]; readonly readyUrl: string | null }[];
  /** For each instance that must not run afterwards. */
  readonly stop: readonly { readonly instance: InstanceName; readonly lines: readonly string[] }[];
  readonly router: readonly string[];
  /** What state.json says afterwards; null removes it. */
  readonly stateAfter: HostState | null;
}

/**
 * A POSIX `sh` script that brings the host back with nothing but a shell and the files on the disk: no Node, no Temporal, no API. It may be
 * run again after it was interrupted. Paths are absolute and fixed when it is written, so that it decides nothing.
 */
export function renderRecoveryScript(input: RecoveryScriptInput): string {
  const { layout, product, runId, lastGoodReleaseId: lastGood } = input;
  const q = quoteForShell;
  const lines = [
    '#!/bin/sh',
    `# Brings ${product} on host ${input.host} back to ${lastGood ? `release ${lastGood}` : 'where it was before its first install'}.`,
    `# Written ${input.writtenAt} by run ${runId}, which was applying ${input.attemptedReleaseId}.`,
    `# Backup: ${oneLine(input.backupPath ?? 'none was taken')}`,
    '# Needs a POSIX shell and the usual tools, nothing of Fairlead. Safe to run twice.',
    'set -u',
    'failed=0',
    "say() { printf '%s\\n' \"$*\"; }",
    'check() { if [ "$1" -ne 0 ]; then failed=1; say "  FAILED: $2"; fi; }',
    '# Asks until an address answers with success, at most 30 seconds. Without curl and wget it cannot tell and says so.',
    'answers() {',
    '  n=0',
    '  while [ "$n" -lt 60 ]; do',
    '    if command -v curl >/dev/null 2>&1; then curl -fsS -o /dev/null --max-time 2 "$1" 2>/dev/null && return 0',
    '    elif command -v wget >/dev/null 2>&1; then wget -q -T 2 -O /dev/null "$1" 2>/dev/null && return 0',
    '    else say "  neither curl nor wget is here: look at $1 yourself"; return 0; fi',
    '    n=$((n + 1)); sleep 0.5 2>/dev/null || sleep 1',
    '  done',
    '  return 1',
    '}',
    '',
  ];
  if (lastGood) {
    lines.push(...switchLines(layout, lastGood));
  } else {
    lines.push(`say 'removing current: nothing was installed before'`, `rm -f ${q(layout.currentLink)}`);
  }
  for (const { instance, lines: stop } of input.stop) lines.push('', `say 'stopping ${instance}'`, ...stop);
  if (input.restoreData.length > 0) lines.push('', `say ${q(`restoring data from ${input.backupPath}`)}`, ...input.restoreData);
  for (const { instance, lines: start, readyUrl } of input.start) {
    lines.push('', `say 'starting ${instance} on ${lastGood}'`, ...start);
    if (readyUrl) lines.push(`answers ${q(readyUrl)}; check $? ${q(`${instance} does not answer at ${readyUrl}`)}`);
  }
  if (input.router.length > 0) lines.push('', "say 'router'", ...input.router);
  lines.push('', 'if [ "$failed" -ne 0 ]; then', `  say ${q(`Not everything came back. The backup is at ${input.backupPath ?? '(none)'}; logs are in ${layout.logsDir}.`)}`, '  exit 1', 'fi');
  if (input.stateAfter) {
    lines.push(
      `cat > ${q(`${layout.stateFile}.recovery`)} <<'FAIRLEAD_STATE'`,
      JSON.stringify(input.stateAfter, null, 2),
      'FAIRLEAD_STATE',
      `chmod 600 ${q(`${layout.stateFile}.recovery`)}; mv -f ${q(`${layout.stateFile}.recovery`)} ${q(layout.stateFile)}; check $? ${q(`could not write ${layout.stateFile}`)}`,
    );
  } else {
    lines.push(`rm -f ${q(layout.stateFile)}`);
  }
  lines.push(
    `at=$(date -u +%Y-%m-%dT%H:%M:%SZ)`,
    `printf '{"schema":1,"runId":"%s","at":"%s","detail":{"by":"recovery script","releaseId":"%s"}}\\n' ${q(runId)} "$at" ${q(lastGood ?? '')} > ${q(`${layout.recoveryDir}/${runId}.recovered.json`)}`,
    `rm -f ${q(layout.intentFile)}`,
    'sync 2>/dev/null',
    'if [ "$failed" -ne 0 ]; then exit 1; fi',
    `say ${q(lastGood ? `${product} is back on release ${lastGood}.` : `${product} is stopped; nothing was installed before.`)}`,
    '',
  );
  return lines.join('\n');
}

/** Lines that point `current` at a complete release. They need `say` and `check`, and end the script where the release is not complete. */
export function switchLines(layout: HostLayout, releaseId: ReleaseId): string[] {
  const q = quoteForShell;
  return [
    `say 'current -> ${releaseId}'`,
    `if [ ! -f ${q(`${layout.releaseDir(releaseId)}/.fairlead-complete.json`)} ]; then say 'release ${releaseId} is not complete on this host: nothing was changed'; exit 1; fi`,
    `ln -sfn ${q(`releases/${releaseId}`)} ${q(`${layout.currentLink}.recovery`)}`,
    `mv -fT ${q(`${layout.currentLink}.recovery`)} ${q(layout.currentLink)} 2>/dev/null || { rm -f ${q(`${layout.currentLink}.recovery`)}; ln -sfn ${q(`releases/${releaseId}`)} ${q(layout.currentLink)}; }`,
    `check $? ${q(`could not switch ${layout.currentLink}`)}`,
  ];
}

/** A comment ends with its line, whatever a path holds. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ');
