import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { orderIdentity, type CertificateRequest, type DirectoryIssuerConfiguration } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { CertificateIssuer, OrderProgress } from '../../../ports/certificate-issuer.ts';
import { isMissing } from '../../files/durable.ts';
import { readCertificateFacts, splitPem } from '../facts.ts';
import { orderFiles, type OrderFile } from '../order-file.ts';
import { checkPair, currentOf, dropStaged, readStaged, stagePair, type Pair } from '../staging.ts';

/**
 * Takes certificates from a directory where a company's CA, or a person, puts them: `<directory>/<certificate>/key.pem` with `fullchain.pem`, or with
 * `cert.pem` and `chain.pem`. There is nothing to prove and nothing to ask; an order is the wait until another certificate than the present one lies there.
 * Files that are being copied while they are read do not fit together, and are waited for like ones that are missing.
 */
export function createDirectoryIssuer({ directory, now = Date.now }: { readonly directory: string; readonly now?: () => number }): CertificateIssuer {
  const look = async (request: CertificateRequest, file: OrderFile): Promise<OrderProgress> => {
    const pair = await readPair(request);
    const isNew = pair !== null && certificateOf(pair) !== null && certificateOf(pair) !== file.current?.fingerprintSha256;
    return { status: isNew ? 'valid' : 'processing', order: null, replaces: false, retryAt: null };
  };
  const kept = async (request: CertificateRequest): Promise<OrderFile> => {
    const file = await orderFiles(directory, request.certificate).read();
    if (file !== null) return file;
    throw new FairleadError({ class: 'dependency', code: 'order_missing', message: `There is no order under way for ${request.certificate}.`, hint: 'The next try begins with a new one.' });
  };
  const poll = async (request: CertificateRequest): Promise<OrderProgress> => look(request, await kept(request));
  return {
    kind: 'directory',
    renewalInformation: async () => null,
    async order(request, current) {
      const file: OrderFile = { identity: orderIdentity(request), order: configuredDirectory(request), replaces: false, current: currentOf(current), failed: false, challenges: [] };
      await orderFiles(directory, request.certificate).write(file);
      return look(request, file);
    },
    present: async () => [],
    answer: async () => undefined,
    poll,
    cleanup: async () => undefined,
    finalize: poll,
    async download(request) {
      const file = await kept(request);
      const pair = await readPair(request);
      if (pair === null || (await look(request, file)).status !== 'valid') throw notDelivered(request);
      const order = `${file.order} ${createHash('sha256').update(pair.fullchain).digest('hex')}`;
      const staged = await readStaged(directory, request.certificate, order);
      if (staged !== null) return staged;
      return stagePair(directory, request.certificate, pair, await checkPair(request, pair, file.current, now()), order);
    },
    async forget(request) {
      await dropStaged(directory, request.certificate);
      await orderFiles(directory, request.certificate).remove();
    },
  };
}

function configuredDirectory(request: CertificateRequest): string {
  if (request.issuer.kind === 'directory') return join((request.issuer satisfies DirectoryIssuerConfiguration).directory, request.certificate);
  throw new FairleadError({ class: 'request', code: 'issuer_kind_wrong', message: `${request.issuer.name} is of kind ${request.issuer.kind}; its certificates were to be taken from a directory.` });
}

/** The pair that lies there; null where a part of it is missing. */
async function readPair(request: CertificateRequest): Promise<Pair | null> {
  const at = configuredDirectory(request);
  const read = async (name: string): Promise<string | null> => {
    try {
      return await readFile(join(at, name), 'utf8');
    } catch (error) {
      if (isMissing(error)) return null;
      throw new FairleadError({ class: 'host', code: 'issuer_file_unreadable', message: `${join(at, name)} cannot be read.`, hint: 'The agent needs to read it.' }, { cause: error });
    }
  };
  const [key, fullchain, cert, chain] = await Promise.all([read('key.pem'), read('fullchain.pem'), read('cert.pem'), read('chain.pem')]);
  const whole = fullchain ?? (cert === null ? null : `${cert}\n${chain ?? ''}`);
  return key === null || whole === null ? null : { key, fullchain: whole };
}

/** Null for a text that is cut off. */
function certificateOf({ fullchain }: Pair): string | null {
  return splitPem(fullchain).length === 0 ? null : readCertificateFacts(fullchain, []).fingerprintSha256;
}

function notDelivered(request: CertificateRequest): FairleadError {
  return new FairleadError({
    class: 'dependency',
    code: 'certificate_not_delivered',
    message: `${configuredDirectory(request)} holds no certificate but the one in use.`,
    hint: "Have the company's CA put key.pem and fullchain.pem there; the certificate in use stays until then.",
  });
}
