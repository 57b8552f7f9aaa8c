import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import type { CheckSignature } from '../../domain/audit/checkpoint.ts';
import type { HashFunction } from '../../domain/audit/chain.ts';
import { FairleadError } from '../../domain/failure.ts';

export interface AuditSigner {
  readonly keyId: string;
  /** SPKI, PEM. */
  readonly publicKeyPem: string;
  /** In base64. */
  sign(text: string): string;
}

/** The hash of the audit: SHA-256 in lower-case hexadecimal digits. */
export const sha256Hex: HashFunction = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

/** @param privateKeyPem Ed25519 (RFC 8032), PKCS#8 in PEM @throws FairleadError `audit_key_invalid` */
export function createAuditSigner(privateKeyPem: string): AuditSigner {
  const key = readKey(privateKeyPem, createPrivateKey);
  const publicKey = createPublicKey(key);
  return { keyId: idOf(publicKey), publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(), sign: (text) => sign(null, Buffer.from(text), key).toString('base64') };
}

/**
 * Checks signatures against public keys.
 * @param text one or more keys in PEM (SPKI), one after the other: those before a change of key still vouch for what they signed
 * @throws FairleadError `audit_key_invalid`
 */
export function createSignatureCheck(text: string): CheckSignature {
  const blocks = text.match(/-----BEGIN [A-Z ]+-----[\s\S]*?-----END [A-Z ]+-----/g) ?? [];
  const keys = new Map((blocks.length === 0 ? [text] : blocks).map((pem) => readKey(pem, createPublicKey)).map((key) => [idOf(key), key]));
  return (signed, signature, keyId) => {
    const key = keys.get(keyId);
    if (key === undefined) return 'unknown_key';
    const bytes = Buffer.from(signature, 'base64');
    // Base64 in its one canonical form: a signature has one text only.
    return bytes.toString('base64') === signature && verify(null, Buffer.from(signed), key, bytes) ? 'valid' : 'invalid';
  };
}

const idOf = (publicKey: KeyObject): string => createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16);

function readKey(pem: string, read: (pem: string) => KeyObject): KeyObject {
  let key: KeyObject | null = null;
  try {
    key = read(pem);
  } catch {
    // The cause stays out: it could quote the key.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new FairleadError({
    class: 'request',
    code: 'audit_key_invalid',
    message: `A key of the audit cannot be read${key === null ? '' : `: it is ${String(key.asymmetricKeyType)}`}; it has to be Ed25519 in PEM.`,
    hint: 'Make a pair: (umask 077; openssl genpkey -algorithm ed25519 -out audit.key); openssl pkey -in audit.key -pubout -out audit.pub',
  });
}
