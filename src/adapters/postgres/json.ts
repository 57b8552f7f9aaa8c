/**
 * A value as the text of a `jsonb` column. PostgreSQL takes neither U+0000 nor lone surrogates, and log lines kept as evidence may hold
 * both: a report must not be lost because a crashing process printed garbage, so they become U+FFFD.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, member) => (typeof member === 'string' ? cleanText(member) : member));
}

/** A text without what PostgreSQL refuses in text columns. */
export const cleanText = (text: string): string => text.toWellFormed().replaceAll('\0', '\ufffd');
