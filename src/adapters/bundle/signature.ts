import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { ArtifactIdentity, ArtifactSignature } from '../../domain/bundle/artifact.ts';
import { canonicalIdentity } from '../../domain/bundle/identity.ts';
import { FairleadError } from '../../domain/failure.ts';

export interface PublisherKey {
  /** PKCS#8. Never leaves the publisher. */
  readonly privateKeyPem: string;
  /** SPKI. What hosts are given. */
  readonly publicKeyPem: string;
  readonly keyId: string;
}

/** A new key of a publisher: Ed25519 (RFC 8032). */
export function generatePublisherKey(): PublisherKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyId: idOf(publicKey),
  };
}

/** Signs what the artifact says of itself. Throws `publisher_key_invalid` for a key that is no Ed25519 private key in PEM. */
export function signArtifact(identity: ArtifactIdentity, privateKeyPem: string): ArtifactSignature {
  const key = readKey(privateKeyPem, createPrivateKey);
  return { keyId: idOf(createPublicKey(key)), value: sign(null, Buffer.from(canonicalIdentity(identity)), key).toString('base64') };
}

/**
 * Checks a signature against the keys that this host was given.
 *
 * @returns the id of the key that signed.
 * @throws `signature_missing`, `signature_untrusted` (none of the keys signed it), `signature_invalid` (a trusted key's, but not over this
 * artifact), `publisher_key_invalid`.
 */
export function verifySignature(identity: ArtifactIdentity, signature: ArtifactSignature | null, publicKeysPem: readonly string[]): string {
  const what = `${identity.product} ${identity.releaseId} (${identity.role}, ${identity.profile})`;
  if (signature === null) throw refuse('signature_missing', `The artifact ${what} is not signed.`, 'Sign it when it is published.');
  const keys = publicKeysPem.map((pem) => readKey(pem, createPublicKey));
  const key = keys.find((candidate) => idOf(candidate) === signature.keyId);
  if (key === undefined) {
    const trusted = keys.length === 0 ? 'it trusts none' : `it trusts ${keys.map(idOf).join(', ')}`;
    throw refuse('signature_untrusted', `The artifact ${what} is signed by key ${signature.keyId}, which this host does not trust: ${trusted}.`, "Put the publisher's public key into the host's publishers directory.");
  }
  if (!verify(null, Buffer.from(canonicalIdentity(identity)), key, decodeValue(signature.value))) {
    throw refuse('signature_invalid', `The signature of the artifact ${what} by key ${signature.keyId} is not over this artifact.`, 'Publish it again from the bundle that was signed.');
  }
  return signature.keyId;
}

/** Base64 in its one canonical form, so that a signature has one text only; anything else verifies as wrong. */
function decodeValue(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : Buffer.alloc(0);
}

/** First 16 hexadecimal digits of the SHA-256 of the public key (SPKI, DER). Throws `publisher_key_invalid`. */
export function keyIdOf(publicKeyPem: string): string {
  return idOf(readKey(publicKeyPem, createPublicKey));
}

function idOf(publicKey: KeyObject): string {
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16);
}

function readKey(pem: string, read: (pem: string) => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read(pem);
  } catch {
    // The cause stays out: it could quote the key.
    throw refuse('publisher_key_invalid', 'A publisher key cannot be read; it must be Ed25519 in PEM (PKCS#8 private, SPKI public).');
  }
  if (key.asymmetricKeyType !== 'ed25519') throw refuse('publisher_key_invalid', `A publisher key is ${String(key.asymmetricKeyType)}; it must be Ed25519.`);
  return key;
}

function refuse(code: string, message: string, hint?: string): FairleadError {
  return new FairleadError({ class: 'release', code, message, ...(hint === undefined ? {} : { hint }) });
}
