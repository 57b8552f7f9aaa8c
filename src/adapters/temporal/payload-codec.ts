import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import { FairleadError } from '../../domain/failure.ts';
import type { SecretKey } from '../sealed/key-lines.ts';
import { readKeyLines } from '../sealed/key-lines.ts';
import { createSealing, SealError, type SealFault } from '../sealed/sealing.ts';

const { Payload: PayloadMessage } = proto.temporal.api.common.v1;
type Failure = temporal.api.failure.v1.IFailure;

/** Says what an encrypted payload is; the samples of Temporal's SDKs use the same. */
export const sealedEncoding = 'binary/encrypted';
const about = 'payload';
const cipher = 'fairlead-aes-256-gcm-1';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'utf8');
const encodingOf = ({ metadata }: Payload): string => Buffer.from(metadata?.['encoding'] ?? []).toString('utf8');
export const isSealed = (payload: Payload): boolean => encodingOf(payload) === sealedEncoding;

export interface AnsweringCodec extends PayloadCodec {
  /** Encrypts with the key that a question came with, which whoever asked has; also where this process would use a newer one. */
  inKindOf(question: Payload): PayloadCodec;
}

/**
 * Encrypts payloads before they reach Temporal, so that its database, its backups and whoever reads histories have nothing of what is asked and answered: inputs,
 * results, memos, summaries, failures. What Temporal itself needs stays readable: ids, names of types, search attributes.
 *
 * Payloads that are not encrypted pass as they are: a run that began before there were keys goes on.
 *
 * @param keys the first one seals, every one opens
 * @param seals false opens only: for the time in which the keys are brought to everybody
 * @throws FairleadError from `decode`: `payload_key_unknown`, `payload_key_wrong`, `payload_damaged`
 */
export function createPayloadCodec(keys: readonly [SecretKey, ...SecretKey[]], seals = true): AnsweringCodec {
  const sealing = createSealing(keys, 'payloads');
  const metadata = { encoding: bytesOf(sealedEncoding), 'encryption-key-id': bytesOf(sealing.keyId), 'encryption-cipher': bytesOf(cipher) };
  return {
    inKindOf: (question) => {
      const id = Buffer.from(question.metadata?.['encryption-key-id'] ?? []).toString('utf8');
      const key = keys.find((each) => each.id === id) ?? keys[0];
      return createPayloadCodec([key, ...keys.filter((each) => each !== key)]);
    },
    encode: async (payloads) => payloads.map((payload) => (!seals || isSealed(payload) ? payload : { metadata, data: sealing.seal(PayloadMessage.encode(payload).finish(), about) })),
    decode: async (payloads) =>
      payloads.map((payload) => {
        if (!isSealed(payload)) return payload;
        try {
          return PayloadMessage.decode(sealing.open(payload.data ?? new Uint8Array(), about));
        } catch (error) {
          throw error instanceof SealError ? unopened(error) : error;
        }
      }),
  };
}

/** @throws FairleadError `payload_keys_invalid` */
export const readPayloadKeys = (text: string, file: string): [SecretKey, ...SecretKey[]] => readKeyLines(text, file, invalidKeys);

/** A failure with its message, its stack and its details encrypted. @param failure as the SDK's converter makes it with `encodeCommonAttributes` */
export async function sealFailure(codec: PayloadCodec, failure: Failure): Promise<Failure> {
  const one = async (payload: Payload): Promise<Payload> => (await codec.encode([payload]))[0] as Payload;
  const { encodedAttributes, applicationFailureInfo, cause } = failure;
  return {
    ...failure,
    ...(encodedAttributes ? { encodedAttributes: await one(encodedAttributes) } : {}),
    ...(applicationFailureInfo?.details?.payloads ? { applicationFailureInfo: { ...applicationFailureInfo, details: { payloads: await codec.encode(applicationFailureInfo.details.payloads) } } } : {}),
    ...(cause ? { cause: await sealFailure(codec, cause) } : {}),
  };
}

/** What a failure says, opened where it is encrypted; null where there is none. One that cannot be opened says so. */
export async function failureMessage(codec: PayloadCodec | null, failure: Failure | null | undefined): Promise<string | null> {
  if (!failure) return null;
  if (!failure.encodedAttributes) return failure.message ?? null;
  try {
    const [payload] = codec === null ? [failure.encodedAttributes] : await codec.decode([failure.encodedAttributes]);
    return defaultPayloadConverter.fromPayload<{ message?: string }>(payload as Payload).message ?? null;
  } catch (error) {
    return error instanceof FairleadError ? error.message : (failure.message ?? null);
  }
}

/** A payload came encrypted to a process that has no keys. */
export const noCodec = (who: string): FairleadError =>
  new FairleadError({
    class: 'host',
    code: 'payload_codec_missing',
    message: `${who} was asked with an encrypted payload, and has no keys to open it.`,
    hint: "Bring it the controller's file of keys (0600) and set FAIRLEAD_TEMPORAL_CODEC_KEY_FILE; until every host has it, FAIRLEAD_TEMPORAL_CODEC=off on the controllers keeps payloads readable.",
  });

const unopened = ({ fault, keyId }: SealError): FairleadError => new FairleadError({ class: 'orchestrator', ...reasonOf[fault](keyId) });

const damaged = () => ({ code: 'payload_damaged', message: 'A payload does not open: it was changed after it was encrypted.', hint: 'See who can write to the database of Temporal. A run that needs it cannot go on; cancel it and start another.' });
const putBack = 'Put that key back as a line of FAIRLEAD_TEMPORAL_CODEC_KEY_FILE: what was encrypted with it needs it for as long as Temporal keeps it.';
const reasonOf: Readonly<Record<SealFault, (keyId: string) => { code: string; message: string; hint: string }>> = {
  not_sealed: damaged,
  damaged,
  unknown_key: (keyId) => ({ code: 'payload_key_unknown', message: `A payload was encrypted with key ${keyId}, which is not among those of this process.`, hint: putBack }),
  wrong_key: (keyId) => ({ code: 'payload_key_wrong', message: `A payload was encrypted with another key than the one that is called ${keyId} here.`, hint: putBack }),
};

const invalidKeys = (problem: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'payload_keys_invalid', message: `Payloads cannot be encrypted: ${problem}.`, hint: 'Make a key: echo "k1 $(head -c 32 /dev/urandom | base64)", in a file of mode 0600 that every controller and every host gets.' });
