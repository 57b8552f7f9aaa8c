import type { HostLayout } from '../host/layout.ts';
import type { HostState } from '../host/state.ts';
import type { CertificateName, CertificateVersion, HostId, ProductName, RunId } from '../ids.ts';
import { quoteForShell } from '../shell-word.ts';

export interface CertificateScriptInput {
  readonly host: HostId;
  readonly product: ProductName;
  readonly runId: RunId;
  readonly certificate: CertificateName;
  readonly writtenAt: string;
  readonly layout: HostLayout;
  /** The directory of the backup; null where none was taken yet. */
  readonly backupPath: string | null;
  /** What was active before the run; null: nothing, and the way back is to plain HTTP. */
  readonly version: CertificateVersion | null;
  /** Lines that put the router as it was before in force: written, tested, reloaded. */
  readonly router: readonly string[];
  /** What state.json says afterwards; null leaves it. */
  readonly stateAfter: HostState | null;
}

/**
 * A POSIX `sh` script that puts the old pair back with nothing but a shell and the files on the disk: the symlink switched back, the router's configuration
 * tested and loaded. It may be run again after it was interrupted. Paths are absolute and fixed when it is written.
 */
export function renderCertificateScript(input: CertificateScriptInput): string {
  const { layout, product, runId, certificate, version, backupPath } = input;
  const q = quoteForShell;
  const home = `${layout.certificatesDir}/${certificate}`;
  const link = `${home}/current`;
  const kept = `${home}/versions/${version}`;
  const lines = [
    '#!/bin/sh',
    `# Puts ${version ? `certificate ${certificate}, version ${version},` : `plain HTTP`} of ${product} on host ${input.host} back.`,
    `# Written ${input.writtenAt} by run ${runId}. Backup: ${backupPath ?? 'none was taken'}`,
    '# Needs a POSIX shell and the usual tools, nothing of Fairlead. Safe to run twice.',
    'set -u',
    'failed=0',
    "say() { printf '%s\\n' \"$*\"; }",
    'check() { if [ "$1" -ne 0 ]; then failed=1; say "  FAILED: $2"; fi; }',
    '',
  ];
  const router = input.router.length === 0 ? [] : ["say 'router: test and reload'", ...input.router];
  if (version) {
    if (backupPath) lines.push(`if [ ! -f ${q(`${kept}/pair.json`)} ]; then`, `  say 'the pair is gone: taking it from ${backupPath}'`, `  rm -rf ${q(`${kept}.recovery`)} && cp -Rp ${q(backupPath)} ${q(`${kept}.recovery`)} && rm -rf ${q(kept)} && mv ${q(`${kept}.recovery`)} ${q(kept)}`, `  check $? ${q(`could not copy ${backupPath}`)}`, 'fi');
    lines.push(
      `say 'current -> versions/${version}'`,
      `ln -sfn ${q(`versions/${version}`)} ${q(`${link}.recovery`)}`,
      `mv -fT ${q(`${link}.recovery`)} ${q(link)} 2>/dev/null || { rm -f ${q(`${link}.recovery`)}; ln -sfn ${q(`versions/${version}`)} ${q(link)}; }`,
      `check $? ${q(`could not switch ${link}`)}`,
      ...router,
    );
  } else {
    // The router must not lose a pair that its configuration still names.
    lines.push(...router, `rm -f ${q(link)}`);
  }
  lines.push('', 'if [ "$failed" -ne 0 ]; then', `  say ${q(`Not everything came back. The backup is at ${backupPath ?? '(none)'}.`)}`, '  exit 1', 'fi');
  if (input.stateAfter) {
    lines.push(
      `cat > ${q(`${layout.stateFile}.recovery`)} <<'FAIRLEAD_STATE'`,
      JSON.stringify(input.stateAfter, null, 2),
      'FAIRLEAD_STATE',
      `chmod 600 ${q(`${layout.stateFile}.recovery`)}; mv -f ${q(`${layout.stateFile}.recovery`)} ${q(layout.stateFile)}; check $? ${q(`could not write ${layout.stateFile}`)}`,
    );
  }
  lines.push(
    'at=$(date -u +%Y-%m-%dT%H:%M:%SZ)',
    `printf '{"schema":1,"runId":"%s","at":"%s","detail":{"by":"recovery script","certificate":"%s","version":"%s"}}\\n' ${q(runId)} "$at" ${q(certificate)} ${q(version ?? '')} > ${q(`${layout.recoveryDir}/${runId}.recovered.json`)}`,
    `rm -f ${q(layout.intentFile)}`,
    'sync 2>/dev/null',
    'if [ "$failed" -ne 0 ]; then exit 1; fi',
    `say ${q(version ? `certificate ${certificate} is back on version ${version}.` : `${product} is served over plain HTTP again.`)}`,
    '',
  );
  return lines.join('\n');
}
