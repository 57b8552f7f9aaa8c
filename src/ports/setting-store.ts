import type { Reason } from '../domain/failure.ts';
import type { SettingName } from '../domain/setting/name.ts';

/** A setting as it is shown. */
export interface ListedSetting {
  readonly name: SettingName;
  /** `abcd****wxyz`; null where it cannot be opened, of which `problem` tells. */
  readonly masked: string | null;
  /** The key that sealed it. */
  readonly keyId: string;
  readonly setAt: string;
  readonly setBy: string;
  readonly problem: Reason | null;
}

/**
 * Secrets of control, sealed in the database under keys that are not in it: whoever has only one of the two has nothing.
 * What opens or seals fails with `settings_key_missing`, `settings_keys_invalid`, and where one cannot be opened `setting_key_unknown`, `setting_key_wrong`, `setting_damaged`.
 */
export interface SettingStore {
  /** Seals under the first key. Twice is once. */
  set(name: SettingName, value: string, by: string): Promise<{ readonly setting: ListedSetting; readonly replaced: boolean }>;
  /** By name. One that cannot be opened is listed with its problem. */
  list(): Promise<ListedSetting[]>;
  find(name: SettingName): Promise<ListedSetting | null>;
  /** Needs no key. */
  unset(name: SettingName): Promise<'removed' | 'not_found'>;
  /** Seals everything anew that another key than the first one has sealed, webhooks among it (`webhook/ID`): all of it, or nothing where one cannot be opened. */
  rotate(): Promise<{ readonly keyId: string; readonly resealed: readonly string[]; readonly already: number }>;
  /** The value itself, for who uses it; null where it is not set. */
  read(name: SettingName): Promise<string | null>;
  /** What a value is known by without being told: by it a repeated request is found, and nobody without the key can try values against it. */
  digest(value: string): Promise<string>;
}
