import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';
import { createPayloadCodec, readPayloadKeys, type AnsweringCodec } from '../adapters/temporal/payload-codec.ts';
import { isMissing } from '../adapters/files/durable.ts';
import { FairleadError } from '../domain/failure.ts';
import type { TemporalSettings } from './config.ts';

/** Loaded by the SDK, by its path. */
export const codedFailures = fileURLToPath(new URL('./coded-failures.ts', import.meta.url));

/**
 * The codec of this process, or null where payloads lie in Temporal as they are.
 * @throws FairleadError `payload_keys_missing`, `payload_keys_invalid`: a process that was told to encrypt and cannot does not start
 */
export function payloadCodecOf({ codec }: Pick<TemporalSettings, 'codec'>): AnsweringCodec | null {
  if (codec === null) return null;
  let text: string;
  try {
    text = readFileSync(codec.keyFile, 'utf8');
  } catch (error) {
    throw new FairleadError(
      {
        class: 'request',
        code: 'payload_keys_missing',
        message: `Payloads cannot be encrypted: ${codec.keyFile} ${isMissing(error) ? 'is not there' : 'cannot be read'}.`,
        hint: `Make a key: (umask 077; echo "k1 $(head -c 32 /dev/urandom | base64)" > ${codec.keyFile}), the same on every controller and every host; or unset FAIRLEAD_TEMPORAL_CODEC_KEY_FILE.`,
      },
      { cause: error },
    );
  }
  return createPayloadCodec(readPayloadKeys(text, codec.keyFile), codec.seals);
}
