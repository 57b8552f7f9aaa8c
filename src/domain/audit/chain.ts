import { canonicalJson } from '../canonical-json.ts';

/** What happened, who asked, and to what: one row of the audit, before it is chained. */
export interface AuditEntry {
  readonly at: string;
  /** Stable, in dotted lower case: `run.intended`, `run.undo_intended`, `run.ended`, `release.published`. */
  readonly event: string;
  /** Key name and role, or the part of Fairlead that acted. */
  readonly actor: string;
  /** What it was done to: `host/h1/noderax-platform`, `release/noderax-platform/r2`. */
  readonly subject: string;
  readonly runId: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A row as it stands in the database. `hash` covers the entry, its sequence and `previousHash`. */
export interface AuditRow extends AuditEntry {
  readonly sequence: number;
  readonly previousHash: string;
  readonly hash: string;
}

/** SHA-256 of a text in UTF-8, in lower-case hexadecimal digits. An argument, because the domain imports nothing. */
export type HashFunction = (text: string) => string;

/** What the first row is chained to. */
export const genesisHash = '0'.repeat(64);

/** The end of a chain: what the next row is chained to. */
export interface ChainHead {
  readonly sequence: number;
  readonly hash: string;
}

export const emptyChain: ChainHead = { sequence: 0, hash: genesisHash };

/** What the hash covers: every field of the entry, its place, and the row before. A field that is added later must be optional and left out where it is not set. */
export function auditHash(entry: AuditEntry, sequence: number, previousHash: string, sha256: HashFunction): string {
  const { at, event, actor, subject, runId, detail } = entry;
  return sha256(canonicalJson({ at, event, actor, subject, runId, detail, sequence, previousHash }));
}

/** The row that stands after `head`. */
export function chainRow(entry: AuditEntry, head: ChainHead, sha256: HashFunction): AuditRow {
  const sequence = head.sequence + 1;
  return { ...entry, sequence, previousHash: head.hash, hash: auditHash(entry, sequence, head.hash, sha256) };
}

/** A row that does not fit, and why. */
export interface BrokenLink {
  readonly sequence: number;
  readonly why: string;
}

/** Whether `row` fits behind `head`. Null where it does. */
export function brokenLink(row: AuditRow, head: ChainHead, sha256: HashFunction): BrokenLink | null {
  const expected = head.sequence + 1;
  if (row.sequence > expected) return { sequence: expected, why: rowsMissing(expected, row.sequence - 1) };
  if (row.sequence < expected) return { sequence: row.sequence, why: `row ${row.sequence} stands behind row ${head.sequence}` };
  if (row.previousHash !== head.hash) {
    return { sequence: row.sequence, why: `row ${row.sequence} is chained to another row than the one before it: that one was changed or replaced` };
  }
  if (auditHash(row, row.sequence, row.previousHash, sha256) !== row.hash) {
    return { sequence: row.sequence, why: `row ${row.sequence} does not match its hash: it was edited or moved` };
  }
  return null;
}

/** Whether the rows end where the chain was last told to end; dropped rows at the end break no link. */
export function brokenEnd(last: ChainHead, head: ChainHead): BrokenLink | null {
  if (last.sequence < head.sequence) return { sequence: last.sequence + 1, why: rowsMissing(last.sequence + 1, head.sequence) };
  if (last.sequence > head.sequence) return { sequence: head.sequence + 1, why: `row ${head.sequence + 1} was never appended: the chain ends at row ${head.sequence}` };
  if (last.hash !== head.hash) return { sequence: last.sequence, why: `row ${last.sequence} is not the row that was appended last` };
  return null;
}

const rowsMissing = (first: number, last: number): string => (first === last ? `row ${first} is missing: it was dropped` : `rows ${first} to ${last} are missing: they were dropped`);
