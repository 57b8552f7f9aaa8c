import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { SecretKey } from './key-lines.ts';

/**
 * What is kept or sent where others can read it: AES-256-GCM (NIST SP 800-38D) under keys with ids. For each purpose a key of its own is made of the secret
 * (HKDF-SHA-256, RFC 5869), so that one file may serve two purposes and neither opens what the other sealed.
 *
 *     1 byte: 1 | 1 byte: length of the key's id | the id | 8 bytes: which key that is | 12 bytes: nonce | 16 bytes: tag | ciphertext
 *
 * The header, the purpose and what the caller says it is about are authenticated with it: sealed as one thing, it opens as nothing else. Nonces are random,
 * which bounds a key to 2^32 seals; who comes near that adds a key in front.
 */
export type SealFault =
  /** It has not the form of anything that was sealed here. */
  | 'not_sealed'
  /** Sealed by a key that is not among these. */
  | 'unknown_key'
  /** There is a key of that id, and it is another one. */
  | 'wrong_key'
  /** Changed since, or sealed about something else. */
  | 'damaged';

/** Says what is wrong, never what was sealed. */
export class SealError extends Error {
  readonly fault: SealFault;
  readonly keyId: string;

  constructor(fault: SealFault, keyId: string) {
    super(`cannot be opened: ${fault.replace('_', ' ')}${keyId === '' ? '' : ` (key ${keyId})`}`);
    this.name = 'SealError';
    this.fault = fault;
    this.keyId = keyId;
  }
}

export interface Sealing {
  /** The key that seals. */
  readonly keyId: string;
  seal(plain: Uint8Array, about: string): Buffer;
  /** @throws SealError */
  open(sealed: Uint8Array, about: string): Buffer;
  /** 32 bytes for another use of the key that seals. */
  derived(use: string): Buffer;
}

const format = 1;
const checkBytes = 8;
const nonceBytes = 12;
const tagBytes = 16;

interface PurposeKey {
  readonly id: string;
  readonly key: Buffer;
  readonly check: Buffer;
  readonly derive: (use: string, length: number) => Buffer;
}

/** @param keys the first one seals, every one opens @param purpose what they are for; other purposes open nothing of it */
export function createSealing(keys: readonly [SecretKey, ...SecretKey[]], purpose: string): Sealing {
  const known = new Map(keys.map((key) => [key.id, purposeKey(key, purpose)]));
  const sealing = known.get(keys[0].id)!;

  return {
    keyId: sealing.id,
    seal(plain, about) {
      const header = Buffer.concat([Buffer.from([format, sealing.id.length]), Buffer.from(sealing.id, 'latin1'), sealing.check]);
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', sealing.key, nonce);
      cipher.setAAD(authenticated(header, purpose, about));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([header, nonce, cipher.getAuthTag(), body]);
    },
    open(sealed, about) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const idEnd = 2 + (bytes[1] ?? 0);
      const headerEnd = idEnd + checkBytes;
      const bodyStart = headerEnd + nonceBytes + tagBytes;
      if (bytes[0] !== format || bytes.length < bodyStart) throw new SealError('not_sealed', '');
      const id = bytes.toString('latin1', 2, idEnd);
      const found = known.get(id);
      if (found === undefined) throw new SealError('unknown_key', id);
      if (!timingSafeEqual(bytes.subarray(idEnd, headerEnd), found.check)) throw new SealError('wrong_key', id);
      const decipher = createDecipheriv('aes-256-gcm', found.key, bytes.subarray(headerEnd, headerEnd + nonceBytes), { authTagLength: tagBytes });
      decipher.setAAD(authenticated(bytes.subarray(0, headerEnd), purpose, about));
      decipher.setAuthTag(bytes.subarray(headerEnd + nonceBytes, bodyStart));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(bodyStart)), decipher.final()]);
      } catch {
        throw new SealError('damaged', id);
      }
    },
    derived: (use) => sealing.derive(use, 32),
  };
}

function purposeKey({ id, secret }: SecretKey, purpose: string): PurposeKey {
  const derive = (use: string, length: number): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `fairlead ${purpose} 1 ${use}`, length));
  return { id, key: derive('key', 32), check: derive('check', checkBytes), derive };
}

/** Every part has its length in front, so that no two sets of parts make the same bytes. */
function authenticated(header: Buffer, purpose: string, about: string): Buffer {
  return Buffer.concat([header, Buffer.from(purpose, 'utf8'), Buffer.from(about, 'utf8')].flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  }));
}
