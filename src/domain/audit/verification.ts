import { brokenEnd, brokenLink, emptyChain, genesisHash, type AuditRow, type ChainHead, type HashFunction } from './chain.ts';
import { checkpointText, type AuditCheckpoint, type CheckSignature } from './checkpoint.ts';

/** Something that does not fit: where, and what. */
export interface AuditProblem {
  /** `row 7`, `checkpoint 2`, `saved checkpoint 2`. */
  readonly where: string;
  /** The row that it is about; null where it is about none. */
  readonly sequence: number | null;
  readonly why: string;
}

export interface AuditVerdict {
  readonly rows: number;
  readonly checkpoints: number;
  /** Whether signatures were checked; without a public key only the links between checkpoints and rows are. */
  readonly signaturesChecked: boolean;
  /** How many rows stand behind the last checkpoint, and so only the chain itself vouches for. */
  readonly rowsSinceCheckpoint: number;
  readonly ok: boolean;
  readonly problems: readonly AuditProblem[];
}

interface Given {
  readonly sha256: HashFunction;
  /** In the order of their numbers, as they stand beside the rows. */
  readonly checkpoints: readonly AuditCheckpoint[];
  /** Kept elsewhere by whoever asks; what was taken out of the database is missed by these. */
  readonly saved?: readonly AuditCheckpoint[];
  /** Null where no public key is at hand. */
  readonly checkSignature: CheckSignature | null;
}

/**
 * Checks an audit that is given row by row: every hash and link, every checkpoint's signature, number and link to the one before, and that each checkpoint's row is there with the hash that
 * was signed. Pure: the same for an export and for the database. The chain is followed to its first broken row; what stands behind it proves nothing more.
 */
export function createAuditVerification({ sha256, checkpoints, saved = [], checkSignature }: Given): { row(row: AuditRow): void; end(told: ChainHead | null): AuditVerdict } {
  const problems: AuditProblem[] = [];
  const good = checkpoints.filter((checkpoint, at) => {
    const why = checkpointProblem(checkpoint, at === 0 ? null : (checkpoints[at - 1] ?? null));
    if (why !== null) problems.push({ where: `checkpoint ${checkpoint.number}`, sequence: checkpoint.sequence, why });
    return why === null;
  });
  const goodSaved = saved.filter((checkpoint) => {
    const why = signatureProblem(checkpoint) ?? besideProblem(checkpoint);
    if (why !== null) problems.push({ where: `saved checkpoint ${checkpoint.number}`, sequence: checkpoint.sequence, why });
    // One that was taken out of the table still says what the rows were.
    return signatureProblem(checkpoint) === null;
  });
  const promised = new Map<number, { readonly where: string; readonly hash: string }[]>();
  const promise = (where: string, { sequence, hash }: AuditCheckpoint): void => void promised.set(sequence, [...(promised.get(sequence) ?? []), { where, hash }]);
  for (const checkpoint of good) promise(`checkpoint ${checkpoint.number}`, checkpoint);
  for (const checkpoint of goodSaved) promise(`saved checkpoint ${checkpoint.number}`, checkpoint);
  const last = good.at(-1)?.sequence ?? 0;

  let head: ChainHead = emptyChain;
  let rows = 0;
  let broken = false;

  return {
    row(row) {
      rows += 1;
      if (broken) return;
      const link = brokenLink(row, head, sha256);
      if (link !== null) {
        broken = true;
        problems.push({ where: `row ${link.sequence}`, sequence: link.sequence, why: link.why });
        return;
      }
      head = row;
      for (const { where, hash } of promised.get(row.sequence) ?? []) {
        if (hash !== row.hash) problems.push({ where: `row ${row.sequence}`, sequence: row.sequence, why: `row ${row.sequence} is not the one that ${where} was signed for: the chain up to it was made anew` });
      }
      promised.delete(row.sequence);
    },

    end(told) {
      if (!broken) {
        const end = told === null ? null : brokenEnd(head, told);
        if (end !== null) problems.push({ where: `row ${end.sequence}`, sequence: end.sequence, why: end.why });
        for (const [sequence, said] of [...promised].sort(([a], [b]) => a - b)) {
          for (const { where } of said) problems.push({ where: `row ${head.sequence + 1}`, sequence: head.sequence + 1, why: `the rows end at ${head.sequence}, and ${where} was signed for row ${sequence}: the tail was cut` });
        }
      }
      return { rows, checkpoints: checkpoints.length, signaturesChecked: checkSignature !== null, rowsSinceCheckpoint: Math.max(0, rows - last), ok: problems.length === 0, problems };
    },
  };

  function checkpointProblem(checkpoint: AuditCheckpoint, before: AuditCheckpoint | null): string | null {
    const expected = (before?.number ?? 0) + 1;
    if (checkpoint.number !== expected) return `checkpoint ${expected} is missing: it was dropped`;
    if (before !== null && checkpoint.sequence <= before.sequence) return `it covers row ${checkpoint.sequence}, and the one before covers row ${before.sequence} already`;
    if (checkpoint.previousHash !== (before === null ? genesisHash : sha256(checkpointText(before)))) return 'it is chained to another checkpoint than the one before it: that one was changed or replaced';
    return signatureProblem(checkpoint);
  }

  function signatureProblem(checkpoint: AuditCheckpoint): string | null {
    if (checkSignature === null) return null;
    const verdict = checkSignature(checkpointText(checkpoint), checkpoint.signature, checkpoint.keyId);
    if (verdict === 'unknown_key') return `it is signed by key ${checkpoint.keyId}, which is none of those that are trusted`;
    return verdict === 'invalid' ? `its signature is not key ${checkpoint.keyId}'s over what it says: it was edited or forged` : null;
  }

  /** A saved checkpoint has to stand among the others just as it was saved. */
  function besideProblem(checkpoint: AuditCheckpoint): string | null {
    const found = checkpoints.find(({ number }) => number === checkpoint.number);
    if (found === undefined) return `checkpoint ${checkpoint.number} is not there any more: it was dropped`;
    return checkpointText(found) === checkpointText(checkpoint) ? null : `checkpoint ${checkpoint.number} is another one now than when it was saved`;
  }
}
