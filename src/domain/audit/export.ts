import { FairleadError } from '../failure.ts';
import type { AuditRow, ChainHead } from './chain.ts';
import type { AuditCheckpoint } from './checkpoint.ts';

/**
 * An export of the audit: JSON lines, each with a `kind`. First `header`, with where the chain ended; then every `checkpoint`, then every `row`, then `end` with how many there were, so that a file
 * that was cut on its way is told from one whose audit was.
 */
export const exportSchema = 1;

export type ExportLine =
  | { readonly kind: 'header'; readonly schema: number; readonly exportedAt: string; readonly head: ChainHead }
  | { readonly kind: 'checkpoint'; readonly checkpoint: AuditCheckpoint }
  | { readonly kind: 'row'; readonly row: AuditRow }
  | { readonly kind: 'end'; readonly rows: number; readonly checkpoints: number };

const line = (value: ExportLine): string => `${JSON.stringify(value)}\n`;

/** The lines of an export, as texts that are written one after the other. */
export const exportLines = {
  start: (said: { readonly exportedAt: string; readonly head: ChainHead }, checkpoints: readonly AuditCheckpoint[]): string =>
    line({ kind: 'header', schema: exportSchema, ...said }) + checkpoints.map((checkpoint) => line({ kind: 'checkpoint', checkpoint })).join(''),
  rows: (rows: readonly AuditRow[]): string => rows.map((row) => line({ kind: 'row', row })).join(''),
  end: (said: { readonly rows: number; readonly checkpoints: number }): string => line({ kind: 'end', ...said }),
} as const;

/** Reads one line. @param number counted from 1, for the message @throws FairleadError `audit_export_invalid` */
export function readExportLine(text: string, number: number): ExportLine {
  let value: Partial<ExportLine> | null = null;
  try {
    value = JSON.parse(text) as Partial<ExportLine>;
  } catch {
    // Said below.
  }
  const kind = typeof value === 'object' && value !== null ? value.kind : undefined;
  if (kind === 'header' && (value as { schema?: unknown }).schema !== exportSchema) throw invalid(`line ${number} says schema ${JSON.stringify((value as { schema?: unknown }).schema)}, and this program reads ${exportSchema}`);
  if (kind === 'header' || kind === 'checkpoint' || kind === 'row' || kind === 'end') return value as ExportLine;
  throw invalid(`line ${number} is no line of an export`);
}

export const invalid = (why: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'audit_export_invalid', message: `The export of the audit cannot be read: ${why}.`, hint: 'Make one: fairlead audit export -o FILE' });
