import type { PairFacts } from '../domain/certificate/pair.ts';
import type { RenewalPlan } from '../domain/certificate/renewal.ts';
import type { LastTry } from '../domain/certificate/status.ts';
import type { CertificateWish } from '../domain/certificate/wish.ts';
import type { HostId, ProductName } from '../domain/ids.ts';

/** Whose certificate: one for each product on a host. */
export interface CertificatePlace {
  readonly host: HostId;
  readonly product: ProductName;
}

/** What control knows of the certificate of a product on a host. */
export interface CertificateRow {
  readonly host: HostId;
  readonly product: ProductName;
  readonly wish: CertificateWish;
  /** As it was seen last; null before there is one. */
  readonly facts: PairFacts | null;
  readonly plan: RenewalPlan | null;
  readonly lookedAt: string | null;
  readonly lastTry: LastTry | null;
  /** How many tries failed in a row. */
  readonly failures: number;
  readonly nextTryAt: string | null;
}

export interface CertificateRegistry {
  /** Keeps what was asked for where nothing is known of the host's certificate yet. What works is not given up for a wish that may fail. */
  propose(host: HostId, product: ProductName, wish: CertificateWish): Promise<void>;
  /** What a host has now, by a look at it. @param look.lookedAt by control's clock: that of a host may be wrong */
  noteLook(host: HostId, product: ProductName, look: { readonly facts: PairFacts | null; readonly plan: RenewalPlan | null; readonly lookedAt: string }): Promise<void>;
  /** How a try ended. With `wish`, it succeeded: renewals go by that one from here on. */
  noteTry(host: HostId, product: ProductName, ended: { readonly lastTry: LastTry; readonly failures: number; readonly nextTryAt: string | null; readonly wish?: CertificateWish }): Promise<void>;
  find(host: HostId, product: ProductName): Promise<CertificateRow | null>;
  /** By host and product, those behind `after`, at most `limit`. */
  list(filter?: { readonly host?: HostId; readonly product?: ProductName; readonly after?: CertificatePlace; readonly limit?: number }): Promise<CertificateRow[]>;
}
