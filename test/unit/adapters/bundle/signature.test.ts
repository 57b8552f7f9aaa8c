import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { generatePublisherKey, keyIdOf, signArtifact, verifySignature } from '../../../../src/adapters/bundle/signature.ts';
import type { ArtifactIdentity } from '../../../../src/domain/bundle/artifact.ts';
import { canonicalIdentity } from '../../../../src/domain/bundle/identity.ts';
import { FairleadError } from '../../../../src/domain/failure.ts';

const identity = { product: 'demo', releaseId: 'r1', role: 'node', profile: 'default', format: 'gz', sizeBytes: 10, sha256: 'a'.repeat(64), fileListSha256: 'b'.repeat(64) } as ArtifactIdentity;
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof FairleadError) return error.reason.code;
    throw error;
  }
  return 'no error';
};

test('a signature verifies with its key and tells which one it was', () => {
  const [key, other] = [generatePublisherKey(), generatePublisherKey()];
  const signature = signArtifact(identity, key.privateKeyPem);
  expect(verifySignature(identity, signature, [other.publicKeyPem, key.publicKeyPem])).toBe(key.keyId);
  expect(key.keyId).toBe(createHash('sha256').update(createPublicKey(key.publicKeyPem).export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16));
  expect(keyIdOf(key.publicKeyPem)).toBe(key.keyId);
});

test('what is signed: the fields of the identity, sorted, without white space, whatever else the object holds', () => {
  const text = `{"fileListSha256":"${'b'.repeat(64)}","format":"gz","product":"demo","profile":"default","releaseId":"r1","role":"node","sha256":"${'a'.repeat(64)}","sizeBytes":10}`;
  expect(canonicalIdentity(identity)).toBe(text);
  expect(canonicalIdentity({ platformVersion: '1', ...identity } as ArtifactIdentity)).toBe(text);
});

test.each(['product', 'releaseId', 'role', 'profile', 'format', 'sizeBytes', 'sha256', 'fileListSha256'] as const)('%s changed after signing: signature_invalid', (field) => {
  const key = generatePublisherKey();
  const signature = signArtifact(identity, key.privateKeyPem);
  const changed = { ...identity, [field]: field === 'sizeBytes' ? 11 : `${identity[field]}x` };
  expect(codeOf(() => verifySignature(changed, signature, [key.publicKeyPem]))).toBe('signature_invalid');
});

test('a key that is not trusted, no key, no signature, a damaged value, a key that is none', () => {
  const [key, other] = [generatePublisherKey(), generatePublisherKey()];
  const signature = signArtifact(identity, key.privateKeyPem);
  expect(codeOf(() => verifySignature(identity, signature, [other.publicKeyPem]))).toBe('signature_untrusted');
  expect(codeOf(() => verifySignature(identity, signature, []))).toBe('signature_untrusted');
  expect(codeOf(() => verifySignature(identity, null, [key.publicKeyPem]))).toBe('signature_missing');
  // Signed by another key under the trusted one's name.
  expect(codeOf(() => verifySignature(identity, { ...signArtifact(identity, other.privateKeyPem), keyId: key.keyId }, [key.publicKeyPem]))).toBe('signature_invalid');
  expect(codeOf(() => verifySignature(identity, { ...signature, value: `${signature.value} ` }, [key.publicKeyPem]))).toBe('signature_invalid');
  expect(codeOf(() => verifySignature(identity, { ...signature, value: '' }, [key.publicKeyPem]))).toBe('signature_invalid');
  expect(codeOf(() => signArtifact(identity, 'no key'))).toBe('publisher_key_invalid');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }).toString();
  expect(codeOf(() => verifySignature(identity, signature, [rsa]))).toBe('publisher_key_invalid');
});
