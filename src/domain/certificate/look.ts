import type { Reason } from '../failure.ts';
import type { ProductName, ReleaseId } from '../ids.ts';
import type { PairFacts } from './pair.ts';
import type { RenewalPlan } from './renewal.ts';

/** What was seen of a product's certificate on its host, and what the issuer said of it. */
export interface CertificateLook {
  readonly product: ProductName;
  readonly activeReleaseId: ReleaseId | null;
  /** Whether the active release has a router that ends TLS. */
  readonly isDeclared: boolean;
  readonly stranded: Reason | null;
  /** The pair that is in place; null where there is none. */
  readonly facts: PairFacts | null;
  /** When it is to be renewed; null where there is none. */
  readonly plan: RenewalPlan | null;
  /** By the host's clock. */
  readonly lookedAt: string;
}
