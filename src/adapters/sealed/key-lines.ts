import type { FairleadError } from '../../domain/failure.ts';

/** A key as operators lay it down: an id that stands beside what it sealed, and the secret, from which keys for a purpose are made. */
export interface SecretKey {
  readonly id: string;
  readonly secret: Buffer;
}

const keyLine = /^([A-Za-z0-9._-]{1,32})[ :]\s*([A-Za-z0-9+/_-]{43,}={0,2})$/;
export const leastSecretBytes = 32;

/**
 * Reads keys: one `ID SECRET` on each line, the secret in base64, 32 bytes or more; the first one seals, every one opens. Empty lines and lines from `#` are left out.
 * @param where the file or the variable that the text is from
 * @throws what `invalid` makes of a sentence that names the line and never the secret
 */
export function readKeyLines(text: string, where: string, invalid: (problem: string) => FairleadError): [SecretKey, ...SecretKey[]] {
  const keys: SecretKey[] = [];
  for (const [index, line] of text.split('\n').map((line) => line.trim()).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, id = '', encoded = ''] = keyLine.exec(line) ?? [];
    const secret = Buffer.from(encoded, 'base64');
    if (secret.length < leastSecretBytes) throw invalid(`line ${index + 1} of ${where} is no key: expected an id and at least ${leastSecretBytes} random bytes in base64`);
    if (keys.some((key) => key.id === id)) throw invalid(`line ${index + 1} of ${where} has the id ${id} a second time`);
    keys.push({ id, secret });
  }
  const [first, ...others] = keys;
  if (first === undefined) throw invalid(`${where} has no key`);
  return [first, ...others];
}
