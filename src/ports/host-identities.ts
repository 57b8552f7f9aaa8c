import type { HostId } from '../domain/ids.ts';

/** Which host a key belongs to. */
export interface HostIdentities {
  /**
   * The host, or null for a key that is not known, was revoked, has expired, or is no host's.
   * @throws where it could not be found out: that is no answer, and never taken for null
   */
  identify(keyText: string): Promise<{ readonly host: HostId } | null>;
}
