import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createSignatureCheck, sha256Hex } from '../adapters/audit-signature/ed25519.ts';
import type { ChainHead } from '../domain/audit/chain.ts';
import type { AuditCheckpoint } from '../domain/audit/checkpoint.ts';
import { invalid, readExportLine } from '../domain/audit/export.ts';
import { createAuditVerification, type AuditVerdict } from '../domain/audit/verification.ts';
import { FairleadError, messagesOf } from '../domain/failure.ts';

/**
 * Verifies an export of the audit by itself: no server and no database is asked.
 *
 * @param lines of the export, without their ends
 * @param publicKey one or more public keys in PEM; null checks no signatures
 * @param saved checkpoints that were kept elsewhere
 * @throws FairleadError `audit_export_invalid` for what is no export, or no whole one; `audit_key_invalid`
 */
export async function verifyExport(lines: AsyncIterable<string>, publicKey: string | null, saved: readonly AuditCheckpoint[]): Promise<AuditVerdict> {
  const checkSignature = publicKey === null ? null : createSignatureCheck(publicKey);
  const checkpoints: AuditCheckpoint[] = [];
  let head: ChainHead | null = null;
  let verification: ReturnType<typeof createAuditVerification> | null = null;
  let rows = 0;
  let number = 0;
  for await (const text of lines) {
    number += 1;
    if (text === '') continue;
    const line = readExportLine(text, number);
    if ((line.kind === 'header') !== (head === null)) throw invalid(`line ${number} is ${line.kind === 'header' ? 'a second header' : 'not the header'}`);
    if (line.kind === 'header') head = line.head;
    else if (line.kind === 'checkpoint' && verification === null) checkpoints.push(line.checkpoint);
    else if (line.kind === 'checkpoint') throw invalid(`line ${number} is a checkpoint behind rows`);
    else {
      verification ??= createAuditVerification({ sha256: sha256Hex, checkpoints, saved, checkSignature });
      if (line.kind === 'row') {
        verification.row(line.row);
        rows += 1;
        continue;
      }
      const verdict = verification.end(head);
      if (line.rows === rows && line.checkpoints === checkpoints.length) return verdict;
      const why = `its last line counts ${line.rows} rows and ${line.checkpoints} checkpoints, and it holds ${rows} and ${checkpoints.length}: lines were taken out or put in`;
      return { ...verdict, ok: false, problems: [...verdict.problems, { where: 'the file', sequence: null, why }] };
    }
  }
  throw invalid('its last line is missing: it was cut, or is not whole yet');
}

/** The lines of a file. @throws FairleadError `audit_export_invalid` */
export async function* linesOf(file: string): AsyncGenerator<string> {
  const stream = createReadStream(file);
  try {
    yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw invalid(`${file}: ${messagesOf(error).join(': ')}`);
  } finally {
    stream.destroy();
  }
}

/** Checkpoints that were kept: one, or a list, or what `fairlead audit checkpoints --json` printed. @throws FairleadError `audit_export_invalid` */
export function readCheckpoints(file: string): readonly AuditCheckpoint[] {
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof FairleadError) throw error;
    throw invalid(`${file} is no JSON`);
  }
  const list = Array.isArray(value) ? value : (((value as { checkpoints?: unknown } | null)?.checkpoints as unknown[] | undefined) ?? [value]);
  const whole = (each: unknown): each is AuditCheckpoint => ['number', 'sequence', 'hash', 'at', 'previousHash', 'keyId', 'signature'].every((name) => typeof each === 'object' && each !== null && Object.hasOwn(each, name));
  if (!list.every(whole)) throw invalid(`${file} holds something else than checkpoints`);
  return list;
}

/** @throws FairleadError `audit_export_invalid` */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${file}: ${messagesOf(error).join(': ')}`);
  }
}
