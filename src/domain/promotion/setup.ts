import { covers } from '../certificate/host-name.ts';
import type { Reason } from '../failure.ts';

/** What the setup API says of itself. */
export interface SetupStatus {
  readonly complete: boolean;
  /** What has still to be done, in words for people. */
  readonly missing: readonly string[];
  /** Where people will reach the product: scheme, host and port, nothing else; null where it has none. */
  readonly publicOrigin: string | null;
  /** Variables of the installed runtime, for `.env.production`. May hold secrets: they stay on the host. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Why the setup phase cannot be left; null where it can. */
export function setupProblem(status: SetupStatus, where: string): Reason | null {
  if (!status.complete || status.missing.length > 0) {
    return {
      class: 'request',
      code: 'setup_incomplete',
      message: `The set-up of ${where} is not complete: ${status.missing.length > 0 ? `missing: ${status.missing.join(', ')}` : 'it does not say what is missing'}.`,
      hint: 'Finish it at /setup, then ask for the promotion again.',
    };
  }
  const problem = status.publicOrigin === null ? null : originProblem(status.publicOrigin);
  if (problem === null) return null;
  return { class: 'request', code: 'public_origin_invalid', message: `The public origin of ${where} is ${status.publicOrigin}: ${problem}.`, hint: 'Give it as https://name.example.org, in /setup.' };
}

/** An origin is a scheme, a host and perhaps a port (RFC 6454, section 4): nothing that a path could be lost from. */
function originProblem(text: string): string | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'that is no URL';
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `its scheme is ${url.protocol.slice(0, -1)}, not https`;
  if (url.protocol === 'http:' && url.hostname !== 'localhost' && !/^127\./.test(url.hostname)) return 'it is not https';
  if (url.username !== '' || url.password !== '') return 'it holds a user name or a password';
  if (url.origin !== text.replace(/\/$/, '')) return 'it has more than scheme, host and port';
  return null;
}

/** Why a certificate for these names cannot serve the public origin; null where it can. */
export function uncertifiedOrigin(publicOrigin: string, names: readonly string[]): Reason | null {
  const { hostname } = new URL(publicOrigin);
  if (names.some((name) => covers(name, hostname))) return null;
  return { class: 'request', code: 'public_origin_uncertified', message: `The public origin is ${publicOrigin}, and the certificate would be for ${names.join(', ')}.`, hint: `Name it: fairlead promote --tls --names ${hostname}` };
}
