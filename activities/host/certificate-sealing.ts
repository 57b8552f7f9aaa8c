import { certificateNameOf } from '../../src/domain/certificate/host-name.ts';
import type { PairFacts } from '../../src/domain/certificate/pair.ts';
import type { SealContext, SealedPair } from '../../src/domain/certificate/seal.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { SealRecipient } from '../../src/ports/pair-seal.ts';
import type { IssuingCommand } from './certificate-issuing.ts';
import type { HostDependencies } from './dependencies.ts';

export interface SealCertificateInput {
  readonly product: ProductName;
  /** The names of the certificate; the first one names it. */
  readonly names: readonly string[];
  /** Of the certificate that is meant: another one is not sealed. */
  readonly fingerprint: string;
  readonly distribution: string;
  readonly recipients: readonly SealRecipient[];
}
export interface OpenSealedInput extends IssuingCommand {
  readonly sealed: SealedPair;
  /** What it has to be sealed for. */
  readonly context: SealContext;
}

export function createCertificateSealing({ host, certificates, seal }: HostDependencies) {
  return {
    /** The pair that this host serves, sealed for each of the others; only what nobody else can read leaves the host. Changes nothing; may be asked at any time. */
    async sealCertificate({ product, names, fingerprint, distribution, recipients }: SealCertificateInput): Promise<{ readonly sealed: readonly SealedPair[] }> {
      const certificate = certificateNameOf(names);
      const directory = certificates.directory(product, certificate);
      return { sealed: await Promise.all(recipients.map((recipient) => seal.seal(directory, recipient, { product, certificate, fingerprint, distribution, from: host, to: recipient.host }))) };
    },
  };
}

export function createCertificateOpening({ seal }: HostDependencies) {
  return {
    /** Opens the pair that another host has sealed for this one, and puts it where `stageCertificate` takes it from. Nothing serves it yet. */
    async openSealedCertificate({ run, wish, sealed, context }: OpenSealedInput): Promise<{ readonly directory: string; readonly facts: PairFacts }> {
      const certificate = certificateNameOf(wish.names);
      if (context.certificate !== certificate || context.product !== run.product) {
        throw new FairleadError({ class: 'request', code: 'seal_wrong_context', message: `The pair is for ${context.certificate} of ${context.product}, and ${certificate} of ${run.product} was to be brought.`, hint: 'Nothing was written.' });
      }
      return seal.open(sealed, context);
    },
  };
}
