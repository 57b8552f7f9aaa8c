import { createHash, randomBytes } from 'node:crypto';
import type { KeyRole } from '../../ports/control-stores.ts';

/**
 * The text of a key: `fl_<role>_<43><6>`: 256 random bits in base64url (RFC 4648 section 5), then six characters of a checksum, by which
 * a mistyped key is told from a revoked one without asking the database, and by which scanners find leaked ones.
 */
const keyPattern = /^fl_(viewer|operator|approver|admin|agent)_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/;

export function makeKeyText(role: KeyRole): string {
  const body = `fl_${role}_${randomBytes(32).toString('base64url')}`;
  return body + checksum(body);
}

/** The role that a key's text names, or null where it is no key. */
export function readKeyText(text: string): { readonly role: KeyRole } | null {
  const match = keyPattern.exec(text);
  if (match === null || checksum(text.slice(0, -6)) !== match[3]) return null;
  return { role: match[1] as KeyRole };
}

/** A token that is exchanged once for a host's own key: made as keys are, and told from them by its name. */
const enrolmentPattern = /^fl_enrol_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/;

export function makeEnrolmentText(): string {
  const body = `fl_enrol_${randomBytes(32).toString('base64url')}`;
  return body + checksum(body);
}

export const isEnrolmentText = (text: string): boolean => enrolmentPattern.exec(text)?.[2] === checksum(text.slice(0, -6));

export const keyDigest = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** What may be shown of a key: the first four random characters and the last four. */
export const maskKey = (text: string): string => `${keyPattern.exec(text)?.[2]?.slice(0, 4) ?? '????'}****${text.slice(-4)}`;

const checksum = (body: string): string => createHash('sha256').update(body, 'utf8').digest('base64url').slice(0, 6);
