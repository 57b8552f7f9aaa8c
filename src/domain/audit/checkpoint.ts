import { canonicalJson } from '../canonical-json.ts';
import { genesisHash, type ChainHead, type HashFunction } from './chain.ts';

/**
 * A statement, signed with a key that the database does not have, that the audit reached this row with this hash. Rows that are dropped at the end, with the
 * database's own note of where the end was, leave nothing behind that misses them; a checkpoint does, and so does a copy of it that lies elsewhere.
 */
export interface AuditCheckpoint {
  /** Counts from 1, without gaps. */
  readonly number: number;
  /** The last row that it covers, and that row's hash. */
  readonly sequence: number;
  readonly hash: string;
  readonly at: string;
  /** SHA-256 of the text of the checkpoint before; zeros for the first. */
  readonly previousHash: string;
  /** First 16 hexadecimal digits of the SHA-256 of the public key (SPKI, DER). */
  readonly keyId: string;
  /** Ed25519 (RFC 8032) over `checkpointText`, in base64. */
  readonly signature: string;
}

/** What is signed. */
export type UnsignedCheckpoint = Omit<AuditCheckpoint, 'signature'>;

/** The text that the signature is over: canonical JSON, with a word for what it is, so that a signature of something else under the same key is none of a checkpoint. */
export function checkpointText({ number, sequence, hash, at, previousHash, keyId }: UnsignedCheckpoint): string {
  return canonicalJson({ kind: 'fairlead-audit-checkpoint', schema: 1, number, sequence, hash, at, previousHash, keyId });
}

/** The checkpoint that comes after `before` for a chain that ends at `head`; the signature is still missing. */
export function nextCheckpoint(head: ChainHead, before: AuditCheckpoint | null, at: string, keyId: string, sha256: HashFunction): UnsignedCheckpoint {
  return { number: (before?.number ?? 0) + 1, sequence: head.sequence, hash: head.hash, at, previousHash: before === null ? genesisHash : sha256(checkpointText(before)), keyId };
}

/** Whether it is time: so many rows came since the last one, or it is so long ago. Seconds. */
export function isCheckpointDue(head: ChainHead, last: AuditCheckpoint | null, now: string, { everyRows, everySeconds }: { readonly everyRows: number; readonly everySeconds: number }): boolean {
  const rows = head.sequence - (last?.sequence ?? 0);
  if (rows <= 0) return false;
  return last === null || rows >= everyRows || Date.parse(now) - Date.parse(last.at) >= everySeconds * 1_000;
}

/** What a signature is worth: `unknown_key` where none of the keys that are trusted made it. */
export type SignatureVerdict = 'valid' | 'invalid' | 'unknown_key';
export type CheckSignature = (text: string, signature: string, keyId: string) => SignatureVerdict;
