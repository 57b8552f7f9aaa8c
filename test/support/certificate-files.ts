import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificateStore } from '../../src/adapters/certificate-store/filesystem.ts';
import type { CertificateName, CertificateVersion, ProductName, RunId } from '../../src/domain/ids.ts';
import { createTestAuthority, stagePair } from './certificates.ts';
import { project } from './stack.ts';
import { startJob, type Job } from './strace.ts';

export const walked = 'walked' as ProductName;
export const walkedCertificate = 'app.example.test' as CertificateName;
export const renewalRun = 'run-9' as RunId;

export interface TwoPairs {
  readonly old: CertificateVersion;
  readonly next: CertificateVersion;
  /** Where the issuer put the new one. */
  readonly staged: string;
}

/** A host whose old pair is active and backed up, and whose new one is staged. */
export async function stageTwoPairs(root: string): Promise<TwoPairs> {
  const authority = await createTestAuthority();
  const store = createCertificateStore(root);
  const staged = `${root}/staged`;
  const stage = async () => (await store.stage(walked, walkedCertificate, await stagePair(staged, await authority.issue({ names: ['app.example.test'] })))).version;
  const old = await stage();
  await store.activate(walked, walkedCertificate, old);
  await store.backUp(walked, walkedCertificate, renewalRun);
  return { old, next: await stage(), staged };
}

export const activeVersion = async (root: string): Promise<CertificateVersion | null> => (await createCertificateStore(root).inspect(walked, walkedCertificate)).active;
export const certificateHome = (root: string, product: string = walked, certificate: string = walkedCertificate): string => join(root, 'var/lib', product, 'acme/certificates', certificate);

/** What is wrong with what a router would read now: nothing, where key and certificate are there and belong together. */
export async function brokenPair(root: string, product?: string, certificate?: string): Promise<string[]> {
  const read = (name: string) => fs.readFile(join(certificateHome(root, product, certificate), 'current', name), 'utf8');
  try {
    const [key, chain] = await Promise.all([read('key.pem'), read('fullchain.pem')]);
    return new X509Certificate(chain).checkPrivateKey(createPrivateKey(key)) ? [] : ['the key is of another certificate'];
  } catch (error) {
    return [String(error)];
  }
}

export const startCertificateSwitch = (root: string): Promise<Job> => startJob([join(project, 'test/support/programs/switch-certificate.ts'), root, walkedCertificate]);
