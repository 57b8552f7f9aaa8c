import { randomBytes } from 'node:crypto';
import { ApplicationFailure, DefaultFailureConverter, defaultPayloadConverter, type Payload } from '@temporalio/common';
import { createPayloadCodec, failureMessage, isSealed, readPayloadKeys, sealFailure } from '../../../src/adapters/temporal/payload-codec.ts';
import type { SecretKey } from '../../../src/adapters/sealed/key-lines.ts';

const key = (id: string): SecretKey => ({ id, secret: randomBytes(32) });
const [k1, k2] = [key('k1'), key('k2')];
const codec = createPayloadCodec([k1]);
const asked = { product: 'lab', note: 'hunter2-in-the-request' };
const payload = (): Payload => defaultPayloadConverter.toPayload(asked);
const textOf = (value: unknown): string => JSON.stringify(value, (_name, member) => (member instanceof Uint8Array || (member as { type?: string } | null)?.type === 'Buffer' ? Buffer.from(member as Uint8Array).toString('latin1') : member));
const one = async (payloads: Promise<Payload[]>): Promise<Payload> => (await payloads)[0] as Payload;

test('encrypted: says with which key and how, tells nothing of what is in it, and comes back whole', async () => {
  const sealed = await one(codec.encode([payload()]));
  expect([isSealed(sealed), Buffer.from(sealed.metadata!['encryption-key-id']!).toString()]).toEqual([true, 'k1']);
  expect(textOf(sealed)).not.toMatch(/hunter2|product|json/);
  expect(defaultPayloadConverter.fromPayload(await one(codec.decode([sealed])))).toEqual(asked);
});

test('what is not encrypted passes as it is, also between others; what is encrypted is not encrypted again', async () => {
  const sealed = await one(codec.encode([payload()]));
  const opened = await codec.decode([payload(), sealed]);
  expect(opened.map((each) => defaultPayloadConverter.fromPayload(each))).toEqual([asked, asked]);
  expect(await codec.encode([sealed])).toEqual([sealed]);
});

test('told to open only: encrypts nothing, and opens what others encrypted', async () => {
  const opening = createPayloadCodec([k1], false);
  expect(isSealed(await one(opening.encode([payload()])))).toBe(false);
  expect(defaultPayloadConverter.fromPayload(await one(opening.decode(await codec.encode([payload()]))))).toEqual(asked);
});

test.each<[string, () => Promise<unknown>, string]>([
  ['a key that is not there', async () => createPayloadCodec([k2]).decode(await codec.encode([payload()])), 'payload_key_unknown'],
  ['another key of that name', async () => createPayloadCodec([key('k1')]).decode(await codec.encode([payload()])), 'payload_key_wrong'],
  ['a changed byte', async () => codec.decode([changed(await one(codec.encode([payload()])))]), 'payload_damaged'],
  ['nothing in it', async () => codec.decode([{ ...(await one(codec.encode([payload()]))), data: new Uint8Array() }]), 'payload_damaged'],
])('%s: refused with a code of its own', async (_what, decode, code) => {
  await expect(decode()).rejects.toMatchObject({ reason: { code, hint: expect.any(String) }, retryable: false });
});

test('an answer is encrypted with the key of the question, also where a newer one is in front', async () => {
  const question = await one(codec.encode([payload()]));
  const answer = await one(createPayloadCodec([k2, k1]).inKindOf(question).encode([payload()]));
  expect(defaultPayloadConverter.fromPayload(await one(codec.decode([answer])))).toEqual(asked);
});

test('a failure: neither its message nor its stack, its details or its causes can be read; its type can, and its message by who has the key', async () => {
  const error = ApplicationFailure.create({ message: 'it said hunter2', type: 'probe_failed', details: [{ evidence: 'hunter2' }], cause: new Error('because of hunter2') });
  const failure = await sealFailure(codec, new DefaultFailureConverter({ encodeCommonAttributes: true }).errorToFailure(error, defaultPayloadConverter));
  expect(textOf(failure)).not.toContain('hunter2');
  expect(failure.applicationFailureInfo?.type).toBe('probe_failed');
  expect(await failureMessage(codec, failure)).toBe('it said hunter2');
  expect(await failureMessage(null, failure)).toBe('Encoded failure');
  expect(await failureMessage(createPayloadCodec([k2]), failure)).toContain('which is not among those of this process');
  expect(await failureMessage(null, { message: 'plain' })).toBe('plain');
});

test('a file that holds no key is refused by a code', () => expect(() => readPayloadKeys('nothing', '/etc/fairlead/codec.keys')).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'payload_keys_invalid' }) })));

function changed(sealed: Payload): Payload {
  const data = Buffer.from(sealed.data as Uint8Array);
  data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
  return { ...sealed, data };
}
