import { createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { sealContextText, sealingKeyPattern, type SealContext, type SealedPair, type SealingKey } from '../../domain/certificate/seal.ts';
import { FairleadError } from '../../domain/failure.ts';

// The fixed beginnings of DER around the 32 bytes of a key of X25519 (RFC 8410 sections 4 and 7).
const spkiStart = Buffer.from('302a300506032b656e032100', 'hex');
const pkcs8Start = Buffer.from('302e020100300506032b656e04220420', 'hex');
const tagBytes = 16;

/** The 32 bytes of a private key, from the system's random source. */
export const makePrivateKey = (): Buffer => generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(pkcs8Start.length);
/** @param bytes 32 of them */
export const privateKeyOf = (bytes: Buffer): KeyObject => createPrivateKey({ key: Buffer.concat([pkcs8Start, bytes]), type: 'pkcs8', format: 'der' });
export const publicHalf = (key: KeyObject): SealingKey => createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(spkiStart.length).toString('base64url');

function publicKeyOf(text: SealingKey): KeyObject {
  const bytes = Buffer.from(text, 'base64url');
  if (!sealingKeyPattern.test(text) || bytes.length !== 32) throw refused('request', 'sealing_key_invalid', `${JSON.stringify(text.slice(0, 60))} is no public key of X25519: 43 characters of base64url are.`, 'See what the host tells: fairlead nodes show HOST');
  return createPublicKey({ key: Buffer.concat([spkiStart, bytes]), type: 'spki', format: 'der' });
}

/**
 * Agreement of X25519 (RFC 7748 section 6.1; Node refuses the all-zero secret of a key of low order), and from it one key for AES-256-GCM by HKDF with SHA-256 (RFC 5869). As in
 * the base mode of HPKE (RFC 9180 sections 4.1 and 5.1), both public keys go into the derivation, and a fresh ephemeral key makes each derived key one for one message.
 */
function deriveKey(secret: KeyObject, other: KeyObject, ephemeral: SealingKey, recipient: SealingKey, context: SealContext): Buffer {
  const shared = diffieHellman({ privateKey: secret, publicKey: other });
  const salt = Buffer.concat([Buffer.from(ephemeral, 'base64url'), Buffer.from(recipient, 'base64url')]);
  return Buffer.from(hkdfSync('sha256', shared, salt, sealContextText(context), 32));
}

/** Seals a text for the holder of the recipient's private key, bound to the context. @throws FairleadError `sealing_key_invalid` */
export function sealText(text: string, recipient: SealingKey, context: SealContext): SealedPair {
  const once = generateKeyPairSync('x25519').privateKey;
  const ephemeral = publicHalf(once);
  const nonce = randomBytes(12);
  const to = publicKeyOf(recipient);
  try {
    const cipher = createCipheriv('aes-256-gcm', deriveKey(once, to, ephemeral, recipient, context), nonce);
    cipher.setAAD(Buffer.from(sealContextText(context)));
    const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return { format: 'fairlead-seal-1', context, recipient, ephemeral, nonce: nonce.toString('base64url'), ciphertext: ciphertext.toString('base64url') };
  } catch (error) {
    // A public key of low order, with which everybody would know the secret.
    throw refused('request', 'sealing_key_invalid', `No secret can be agreed on with the key ${recipient}.`, 'See what the host tells: fairlead nodes show HOST', error);
  }
}

/** @throws FairleadError `seal_broken` for anything that was not sealed for this key and context, byte for byte */
export function openText(sealed: SealedPair, secret: KeyObject): string {
  try {
    const bytes = Buffer.from(sealed.ciphertext, 'base64url');
    const key = deriveKey(secret, publicKeyOf(sealed.ephemeral), sealed.ephemeral, sealed.recipient, sealed.context);
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(sealed.nonce, 'base64url'), { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(sealContextText(sealed.context)));
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString('utf8');
  } catch (error) {
    throw refused('dependency', 'seal_broken', `The sealed pair of ${sealed.context.certificate} is not what ${sealed.context.from} has sealed: a byte or what it is for was changed on the way.`, 'Nothing was written. Look at who can write to Temporal; the next distribution seals it anew.', error);
  }
}

export const refused = (kind: 'request' | 'host' | 'dependency', code: string, message: string, hint: string, cause?: unknown): FairleadError => new FairleadError({ class: kind, code, message, hint }, { cause });
