import { bearerSettingOf } from '../../domain/setting/name.ts';
import type { SettingStore } from '../../ports/setting-store.ts';

/** The headers by which control shows who it is at an address. */
export type OutgoingCredentials = (url: URL) => Promise<Readonly<Record<string, string>>>;

/**
 * Tokens from the sealed settings. Operators choose the addresses of gates and metrics, administrators set the tokens: each belongs to one origin, so that
 * no address that somebody chose gets another one's.
 * @throws FairleadError where there is a token for the origin and it cannot be opened
 */
export const createSettingCredentials =
  (settings: Pick<SettingStore, 'read'>): OutgoingCredentials =>
  async (url): Promise<Readonly<Record<string, string>>> => {
    const token = await settings.read(bearerSettingOf(url));
    return token === null ? {} : { authorization: `Bearer ${token}` };
  };
