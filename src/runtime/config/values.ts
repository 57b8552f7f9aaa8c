import { maskPassword, maskSecret } from '../mask.ts';
import type { SettingDeclaration, SettingKind } from '../setting.ts';
import type { Address } from './settings.ts';

/** Null where `text` is fine, else what is expected instead. */
export function check(kind: SettingKind, text: string): string | null {
  switch (kind.type) {
    case 'text':
      return kind.pattern === undefined || kind.pattern.test(text) ? null : `expected ${kind.expected ?? 'another text'}`;
    case 'choice':
      return kind.of.includes(text) ? null : `expected one of ${kind.of.join(', ')}`;
    case 'switch':
      return /^(on|off|true|false|1|0)$/.test(text) ? null : 'expected on or off';
    case 'integer': {
      const fits = /^\d{1,9}$/.test(text) && Number(text) >= kind.min && Number(text) <= kind.max;
      return fits ? null : `expected a whole number of ${kind.unit} from ${kind.min} to ${kind.max}`;
    }
    case 'address': {
      const { host, port } = addressOf(text);
      return host !== '' && port >= 0 && port <= 65_535 ? null : 'expected host:port, for example 127.0.0.1:7233';
    }
    case 'url': {
      const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : '';
      return kind.schemes.includes(scheme) ? null : `expected a URL that starts with ${kind.schemes.map((name) => `${name}://`).join(' or ')}`;
    }
    case 'path':
      return text.startsWith('/') ? null : 'expected an absolute path';
  }
}

/** Host and port of a text; an empty host and port -1 where it is none. */
export function addressOf(text: string): Address {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text);
  return match === null ? { host: '', port: -1 } : { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}

export function quoted(setting: SettingDeclaration, text: string): string {
  return JSON.stringify(masked(setting, text));
}

export function masked(setting: SettingDeclaration | undefined, text: string): string {
  return setting?.secret === 'yes' ? maskSecret(text) : setting?.secret === 'password' ? maskPassword(text) : text;
}

export const isOn = (text: string | null): boolean => text === 'on' || text === 'true' || text === '1';
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
export const nonEmpty = (text: string | undefined): string | undefined => (text === undefined || text === '' ? undefined : text);
export const withoutSlash = (text: string): string => text.replace(/\/+$/, '');
