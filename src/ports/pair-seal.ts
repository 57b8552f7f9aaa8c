import type { PairFacts } from '../domain/certificate/pair.ts';
import type { SealContext, SealedPair, SealingKey } from '../domain/certificate/seal.ts';
import type { CertificateName, HostId, ProductName } from '../domain/ids.ts';

export interface SealRecipient {
  readonly host: HostId;
  readonly key: SealingKey;
}

/** Brings key and certificate from host to host, readable for the recipient alone. What is returned or thrown never holds a key. */
export interface PairSeal {
  /** The public half of the host's own sealing key, which is made when it is first asked for. Idempotent. */
  publicKey(): Promise<SealingKey>;
  /**
   * Seals the pair in a directory (`key.pem`, `fullchain.pem`) for one recipient.
   * @throws FairleadError `sealing_peer_unknown` where the host has pinned keys and this is none of them, `sealing_key_invalid`, `seal_wrong_certificate` where the
   * directory holds another certificate than the context names, `certificate_staging_missing`
   */
  seal(directory: string, recipient: SealRecipient, context: SealContext): Promise<SealedPair>;
  /**
   * Opens a pair for this host, and puts it where `CertificateStore.stage` takes it from. Idempotent.
   * @param expected what the pair has to be sealed for
   * @returns the directory, and what the pair is
   * @throws FairleadError `seal_wrong_host`, `seal_wrong_context`, `seal_wrong_key`, `seal_broken`, `seal_wrong_certificate`: nothing was written
   */
  open(sealed: SealedPair, expected: SealContext): Promise<{ readonly directory: string; readonly facts: PairFacts }>;
  /** Removes what `open` has put there. Nothing there is fine. */
  forget(product: ProductName, certificate: CertificateName): Promise<void>;
}
