import type { SessionEnd } from './session.ts';

/** Where the connection is made, below the API's address. */
export const fleetPath = '/api/fleet';

/** What an agent shows before the connection is made, beside its key. */
export const fleetHeaders = { host: 'x-fairlead-host', bootId: 'x-fairlead-boot-id' } as const;

/** No message is longer, either way; as JSON in UTF-8. */
export const maxFleetMessageBytes = 1024 * 1024;

/** Each side pings the other so often, and gives it up where no answer came until the next time. Milliseconds. */
export const pingMs = 15_000;

/** Why a connection was closed, by either side (RFC 6455 section 7.4.2: 4000 to 4999 are ours). The reason beside it says it in a word. */
export const fleetClose = {
  goodbye: 1000,
  apiClosing: 1012,
  /** By the agent: it begins another session at once. By the API: another session of the same agent has begun. */
  renewed: 4000,
  notAMessage: 4400,
  /** The key opens nothing any more. */
  keyGone: 4401,
  refused: 4403,
  silent: 4408,
  /** Two agents share an identity, or another agent process took the place. */
  conflict: 4409,
} as const;

const closeOf: Readonly<Record<SessionEnd, number>> = {
  renewed: fleetClose.renewed,
  superseded: fleetClose.conflict,
  goodbye: fleetClose.goodbye,
  lost: fleetClose.silent,
  silent: fleetClose.silent,
  protocol: fleetClose.notAMessage,
  identity_conflict: fleetClose.conflict,
  api_closing: fleetClose.apiClosing,
  re_enrolled: fleetClose.keyGone,
  key_revoked: fleetClose.keyGone,
};

/** The code with which the API closes a connection whose session has ended. */
export const closeCodeOf = (why: SessionEnd): number => closeOf[why];

/** Why a session ended whose connection the agent closed, or that broke. */
export const endOfClose = (code: number): SessionEnd => (code === fleetClose.goodbye || code === 1001 ? 'goodbye' : code === fleetClose.renewed ? 'renewed' : code >= 1002 && code <= 1009 && code !== 1005 && code !== 1006 ? 'protocol' : 'lost');
