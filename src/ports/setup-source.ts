import type { SetupStatus } from '../domain/promotion/setup.ts';

/** Asks a product's setup API. */
export interface SetupSource {
  /**
   * @param port loopback port of the setup instance
   * @throws FairleadError `setup_unreachable` (retryable) where it does not answer with 200 in time, `setup_status_invalid` where the answer is not what
   * the contract says (`SetupDeclaration`)
   */
  read(port: number, path: string, timeoutMs: number, cancel: AbortSignal): Promise<SetupStatus>;
}
