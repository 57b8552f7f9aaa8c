/** Instants are ISO 8601 texts in UTC, as everywhere in reports; durations are seconds that really pass, whatever a clock on the wall does. */
export const instantAfter = (at: string, seconds: number): string => new Date(Date.parse(at) + seconds * 1000).toISOString();

/** Whether `now` is at or past an instant; never past null, which has no end. */
export const reached = (now: string, at: string | null): boolean => at !== null && Date.parse(now) >= Date.parse(at);

/** The earliest of some instants, or null where there is none. */
export const earliest = (...instants: readonly (string | null)[]): string | null =>
  instants.reduce((first, at) => (at !== null && (first === null || Date.parse(at) < Date.parse(first)) ? at : first), null);
