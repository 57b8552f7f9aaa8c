import type { Reason } from '../failure.ts';

/** The name of a sealed setting, checked. What is sealed under one name opens under no other. */
export type SettingName = string & { readonly __kind: 'SettingName' };

/** What a setting's name may be, and who uses the value. */
export interface SettingForm {
  /** For people. */
  readonly shape: string;
  readonly pattern: RegExp;
  readonly example: string;
  readonly about: string;
}

export const settingForms: readonly SettingForm[] = [
  {
    shape: 'bearer.SCHEME@HOST[:PORT]',
    pattern: /^bearer\.https?@([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(:\d{1,5})?$/,
    example: 'bearer.https@prometheus.internal:9090',
    about: 'The token that control shows (Authorization: Bearer) when it asks gates and metrics at this origin, and at no other.',
  },
];

/** Bytes of UTF-8. */
export const maxSettingBytes = 16_384;

/** @returns the name, or why there is no such setting */
export function settingName(text: string): SettingName | Reason {
  if (text.length <= 200 && settingForms.some(({ pattern }) => pattern.test(text))) return text as SettingName;
  return {
    class: 'request',
    code: 'setting_name_unknown',
    message: `"${text.slice(0, 200)}" is the name of no setting.`,
    hint: `Settings are: ${settingForms.map(({ shape, example }) => `${shape} (such as ${example})`).join(', ')}.`,
  };
}

/** @returns why the value cannot be that of a setting; never the value itself */
export function refuseSettingValue(name: SettingName, value: string): Reason | null {
  const refused = (what: string): Reason => ({ class: 'request', code: 'setting_value_invalid', message: `The value of ${name} ${what}.`, hint: 'The value is read as it is but for one newline at its end; give the token alone.' });
  if (value === '') return refused('is empty');
  if (value.length > maxSettingBytes) return refused(`is longer than ${maxSettingBytes} characters`);
  // It becomes a header (RFC 6750 section 2.1): a line break in it would end the header, and the request with it.
  return /^[\x21-\x7e]+$/.test(value) ? null : refused('holds spaces, line breaks or characters outside of ASCII');
}

/** The name under which a token for this address lies. The port is named only where it is not the scheme's own, as in the address. */
export const bearerSettingOf = (url: URL): SettingName => `bearer.${url.protocol.slice(0, -1)}@${url.host}` as SettingName;
