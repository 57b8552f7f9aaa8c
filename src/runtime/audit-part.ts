import { readFile } from 'node:fs/promises';
import { createAuditSigner, createSignatureCheck, sha256Hex, type AuditSigner } from '../adapters/audit-signature/ed25519.ts';
import type { Logger } from '../adapters/logger.ts';
import { brokenLink, emptyChain, type ChainHead } from '../domain/audit/chain.ts';
import { checkpointText, isCheckpointDue, nextCheckpoint, type AuditCheckpoint, type CheckSignature } from '../domain/audit/checkpoint.ts';
import { FairleadError, messagesOf } from '../domain/failure.ts';
import type { AuditLog } from '../ports/control-stores.ts';
import type { Part } from './bootstrap.ts';
import type { AuditSettings } from './config.ts';

const lookMs = 5_000;
const batch = 1_000;

export interface AuditPart {
  readonly part: Part;
  /** With the public half of the key that signs; null where none does, and before the start. */
  readonly checkSignature: () => CheckSignature | null;
}

/**
 * Signs checkpoints of the audit: by the number of rows, by time, and at the end of the process. The part comes before those that write rows, so that it is stopped after them.
 * Its start fails with FairleadError `audit_key_missing` or `audit_key_invalid`.
 */
export function auditPart(settings: AuditSettings, audit: AuditLog, logger: Logger): AuditPart {
  let check: CheckSignature | null = null;
  let told = '';
  // Once for each reason, not every few seconds: it stays until somebody acts.
  const tell = (error: unknown): void => {
    const why = messagesOf(error).join(': ');
    if (why !== told) logger.error({ err: error }, 'no checkpoint of the audit was signed');
    told = why;
  };
  return {
    checkSignature: () => check,
    part: {
      name: 'audit',
      start: async () => {
        if (settings.keyFile === null) return null;
        const signer = createAuditSigner(await readKeyFile(settings.keyFile));
        check = createSignatureCheck(signer.publicKeyPem);
        const checkpoints = createCheckpoints(audit, signer, settings);
        let looking: Promise<unknown> = Promise.resolve();
        const timer = setInterval(() => void (looking = checkpoints.look().catch(tell)), lookMs);
        return async () => {
          clearInterval(timer);
          await looking;
          await checkpoints.look(true).catch(tell);
        };
      },
    },
  };
}

export interface Checkpoints {
  /**
   * Signs the next checkpoint where one is due. @param now also where none is due, if there are new rows
   * @returns it, or null
   * @throws FairleadError `audit_broken` where the rows since the last one do not follow from it: nothing is signed then
   */
  look(now?: boolean): Promise<AuditCheckpoint | null>;
}

export function createCheckpoints(audit: AuditLog, signer: AuditSigner, every: Pick<AuditSettings, 'checkpointRows' | 'checkpointSeconds'>): Checkpoints {
  return {
    async look(now = false) {
      const last = (await audit.checkpoints({ limit: 1 })).at(-1) ?? null;
      const head = await audit.head();
      if (last !== null && head.sequence < last.sequence) throw broken(`the audit ends at row ${head.sequence}, and checkpoint ${last.number} was signed for row ${last.sequence}`);
      const at = new Date().toISOString();
      const due = now ? head.sequence > (last?.sequence ?? 0) : isCheckpointDue(head, last, at, { everyRows: every.checkpointRows, everySeconds: every.checkpointSeconds });
      if (!due) return null;
      await demandWhole(last, head);
      const unsigned = nextCheckpoint(head, last, at, signer.keyId, sha256Hex);
      const checkpoint = { ...unsigned, signature: signer.sign(checkpointText(unsigned)) };
      // Where another copy was quicker there is one for these rows.
      return (await audit.keepCheckpoint(checkpoint)) === 'kept' ? checkpoint : null;
    },
  };

  /** The rows from the last checkpoint to the head, each chained to the one before: a signature must not vouch for what was changed meanwhile. */
  async function demandWhole(last: AuditCheckpoint | null, head: ChainHead): Promise<void> {
    let at: ChainHead = last ?? emptyChain;
    while (at.sequence < head.sequence) {
      const rows = await audit.list({ limit: batch, afterSequence: at.sequence });
      if (rows.length === 0) throw broken(`row ${at.sequence + 1} is missing`);
      for (const row of rows) {
        if (row.sequence > head.sequence) break;
        const link = brokenLink(row, at, sha256Hex);
        if (link !== null) throw broken(link.why);
        at = row;
      }
    }
    if (at.hash !== head.hash) throw broken(`row ${head.sequence} is not the row that was appended last`);
  }
}

const broken = (why: string): FairleadError =>
  new FairleadError({ class: 'orchestrator', code: 'audit_broken', message: `The audit does not fit together: ${why}.`, hint: 'Somebody changed the database. See what and where: fairlead audit verify' });

async function readKeyFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new FairleadError({ class: 'request', code: 'audit_key_missing', message: `The key that signs checkpoints of the audit cannot be read: ${messagesOf(error).join(': ')}.`, hint: `Make one: (umask 077; openssl genpkey -algorithm ed25519 -out ${file}); every copy of the API needs the same.` });
  }
}
