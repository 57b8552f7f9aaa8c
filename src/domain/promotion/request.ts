import type { UpdateRequest } from '../update/request.ts';

/** What somebody asked for: a host out of its setup phase. `releaseId` is the release that the host runs, so that no other one is promoted by mistake. */
export type PromotionRequest = Pick<UpdateRequest, 'host' | 'product' | 'releaseId' | 'role' | 'bakeSeconds' | 'requestedBy' | 'requestId'>;
