import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isCertificateName } from '../../domain/certificate/request.ts';
import { FairleadError } from '../../domain/failure.ts';
import { ensureDirectory, readIfThere, settleDirectory, syncDirectory, writeFileDurably } from '../files/durable.ts';
import type { CurrentCertificate } from './staging.ts';

/** A challenge that lies where the CA looks, or may: it is noted before it is put there, so that it can be taken away again. */
export interface NotedChallenge {
  readonly kind: 'http-01' | 'dns-01';
  readonly name: string;
  /** The file's name below `.well-known/acme-challenge`, or the name of the TXT record. */
  readonly where: string;
  readonly value: string;
}

/** `order.json`: what an order is gone on with by. */
export interface OrderFile {
  /** `orderIdentity` of the request. */
  readonly identity: string;
  /** Names the order at the issuer. */
  readonly order: string;
  readonly replaces: boolean;
  readonly current: CurrentCertificate | null;
  /** It came to nothing; kept for `challenges` alone. */
  readonly failed: boolean;
  readonly challenges: readonly NotedChallenge[];
}

export interface OrderFiles {
  read(): Promise<OrderFile | null>;
  /** Durable, 0600. */
  write(order: OrderFile): Promise<void>;
  /** The key that the certificate is for, and the request for it; null where they were not written. */
  readKey(): Promise<{ readonly key: string; readonly csr: string } | null>;
  /** Durable, 0600. The key is there before the order is, so that no certificate is ever issued for a key that is lost. */
  writeKey(pair: { readonly key: string; readonly csr: string }): Promise<void>;
  /** Durable, idempotent. */
  remove(): Promise<void>;
}

/** The files of a certificate's order, below `<directory>/orders/<certificate>` (0700). */
export function orderFiles(directory: string, certificate: string): OrderFiles {
  if (!isCertificateName(certificate)) {
    throw new FairleadError({ class: 'request', code: 'certificate_invalid', message: `${JSON.stringify(certificate.slice(0, 80))} cannot name a certificate.`, hint: 'Lower-case letters, digits, dots and hyphens.' });
  }
  const at = join(directory, 'orders', certificate);
  const [orderFile, keyFile, csrFile] = [join(at, 'order.json'), join(at, 'key.pem'), join(at, 'csr.pem')];
  return {
    async read() {
      await settleDirectory(at);
      const text = await readIfThere(orderFile);
      return text === null ? null : (JSON.parse(text) as OrderFile);
    },
    async write(order) {
      await ensureDirectory(at, 0o700);
      await writeFileDurably(orderFile, JSON.stringify(order), 0o600);
    },
    async readKey() {
      const [key, csr] = [await readIfThere(keyFile), await readIfThere(csrFile)];
      return key === null || csr === null ? null : { key, csr };
    },
    async writeKey({ key, csr }) {
      await ensureDirectory(at, 0o700);
      await writeFileDurably(keyFile, key, 0o600);
      await writeFileDurably(csrFile, csr, 0o600);
    },
    async remove() {
      await ensureDirectory(join(directory, 'orders'), 0o700);
      await rm(at, { recursive: true, force: true });
      await syncDirectory(join(directory, 'orders'));
    },
  };
}
