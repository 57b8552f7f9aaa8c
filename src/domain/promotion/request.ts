import type { CertificateRunRequest } from '../certificate/wish.ts';
import type { UpdateRequest } from '../update/request.ts';

/** What somebody asked for: a host out of its setup phase. `releaseId` is the release that the host runs, so that no other one is promoted by mistake. */
export interface PromotionRequest extends Pick<UpdateRequest, 'host' | 'product' | 'releaseId' | 'role' | 'bakeSeconds' | 'requestedBy' | 'requestId'> {
  /** The certificate that the installed phase is served with, got in the promotion's course. Left out: TLS stays as it is. */
  readonly certificate?: PromotionCertificate;
}

export type PromotionCertificate = Pick<CertificateRunRequest, 'wish' | 'originPort'>;
