import { createHmac, timingSafeEqual } from 'node:crypto';
import { FairleadError } from '../../domain/failure.ts';
import type { HostId } from '../../domain/ids.ts';
import { readKeyLines, type SecretKey } from '../sealed/key-lines.ts';

/**
 * Task tokens as hosts get them: the server's own token behind a code (HMAC-SHA-256, RFC 2104) over the host, the moment until which it holds and the token.
 * The gateway keeps nothing: whichever copy gets the answer opens what another one has sealed, by the keys that all of them have.
 *
 *     1 byte: 1 | 1 byte: length of the key's id | the id | 6 bytes: seconds since the epoch | 32 bytes: code | the server's token
 */
export type SealKey = SecretKey;

export interface TokenSeal {
  /** @param untilMs after which the token is refused, in ms since the epoch */
  seal(host: HostId, token: Uint8Array, untilMs: number): Buffer;
  /** The server's token, or null where this host was not given it: forged, another host's, too old, or sealed by a key that is no longer there. */
  open(host: HostId, sealed: Uint8Array): Buffer | null;
}

const format = 1;
const secondsBytes = 6;
const codeBytes = 32;
const purpose = 'fairlead task token 1';

/** @param keys at least one; the first one seals, every one opens */
export function createTokenSeal(keys: readonly SealKey[], now: () => number = Date.now): TokenSeal {
  const [sealing] = keys;
  if (sealing === undefined) throw new TypeError('a seal needs a key');
  const known = new Map(keys.map((key) => [key.id, key]));

  return {
    seal(host, token, untilMs) {
      const id = Buffer.from(sealing.id, 'latin1');
      const seconds = Buffer.alloc(secondsBytes);
      seconds.writeUIntBE(Math.ceil(untilMs / 1000), 0, secondsBytes);
      return Buffer.concat([Buffer.from([format, id.length]), id, seconds, codeOf(sealing, host, seconds, token), token]);
    },
    open(host, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const idEnd = 2 + (bytes[1] ?? 0);
      const codeStart = idEnd + secondsBytes;
      const tokenStart = codeStart + codeBytes;
      if (bytes[0] !== format || bytes.length <= tokenStart) return null;
      const key = known.get(bytes.toString('latin1', 2, idEnd));
      if (key === undefined) return null;
      const seconds = bytes.subarray(idEnd, codeStart);
      const token = bytes.subarray(tokenStart);
      if (!timingSafeEqual(bytes.subarray(codeStart, tokenStart), codeOf(key, host, seconds, token))) return null;
      return seconds.readUIntBE(0, secondsBytes) * 1000 >= now() ? token : null;
    },
  };
}

/** Every part but the last has its length in front, so that no two sets of parts make the same bytes. */
function codeOf({ id, secret }: SealKey, host: HostId, seconds: Buffer, token: Uint8Array): Buffer {
  const code = createHmac('sha256', secret);
  for (const part of [purpose, id, host]) {
    const bytes = Buffer.from(part, 'utf8');
    code.update(Buffer.from([bytes.length])).update(bytes);
  }
  return code.update(seconds).update(token).digest();
}

/**
 * Reads a file of keys: one `ID SECRET` on each line, the secret in base64, 32 bytes or more; the first one seals. Empty lines and lines from `#` are left out.
 * @throws FairleadError `gateway_seal_keys_invalid`, which names the line and never the secret
 */
export const readSealKeys = (text: string, file: string): SealKey[] => readKeyLines(text, file, invalidKeys);

const invalidKeys = (problem: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'gateway_seal_keys_invalid', message: `The gateway cannot seal task tokens: ${problem}.`, hint: 'Make a key: echo "k1 $(head -c 32 /dev/urandom | base64)", in a file of mode 0600 that every copy of the API gets.' });
