import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { createPayloadCodec } from '../../../src/adapters/temporal/payload-codec.ts';
import { traceOf, traceStarts } from '../../../src/adapters/temporal/trace-header.ts';
import { interceptors } from '../../../workflows/support/trace-header.ts';

const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const payload = defaultPayloadConverter.toPayload(traceparent);
const codec = createPayloadCodec([{ id: 'k1', secret: randomBytes(32) }]);
const other = createPayloadCodec([{ id: 'k2', secret: randomBytes(32) }]);

describe('the trace that an activity belongs to', () => {
  test.each([
    ['as it is', payload, null],
    ['as it is, to who has keys', payload, codec],
  ])('comes %s', async (_how, given, keys) => expect(await traceOf({ traceparent: given }, keys)).toBe(traceparent));

  test('is opened where somebody has encrypted it', async () => {
    const [sealed] = await codec.encode([payload]);
    expect(await traceOf({ traceparent: sealed as Payload }, codec)).toBe(traceparent);
  });

  test.each([
    ['there is no header', undefined],
    ['it is no text', { traceparent: defaultPayloadConverter.toPayload({ a: 1 }) }],
    ['it is damaged', { traceparent: { metadata: {}, data: Buffer.from('{') } }],
  ])('is none, and no error, where %s', async (_why, headers) => expect(await traceOf(headers as never)).toBeNull());

  test('is none, and no error, where it was encrypted with a key that is not here', async () => {
    const [sealed] = (await other.encode([payload])) as [Payload];
    expect([await traceOf({ traceparent: sealed }, codec), await traceOf({ traceparent: sealed })]).toEqual([null, null]);
  });
});

describe('a client that is traced', () => {
  const started = async (current: string | null, method: 'startWithDetails' | 'startUpdateWithStart') => {
    const [interceptor] = traceStarts({ current: () => current }).workflow as [Record<string, (input: object, next: (input: unknown) => unknown) => unknown>];
    return interceptor[method]!({ headers: { own: payload }, workflowStartHeaders: { own: payload } }, (input) => input);
  };
  test('sends the trace with what it starts, beside other headers', async () => {
    expect(await started(traceparent, 'startWithDetails')).toEqual({ headers: { own: payload, traceparent: payload }, workflowStartHeaders: { own: payload } });
    expect(await started(traceparent, 'startUpdateWithStart')).toEqual({ headers: { own: payload }, workflowStartHeaders: { own: payload, traceparent: payload } });
  });
  test('sends nothing outside of a span', async () => expect(await started(null, 'startWithDetails')).toEqual({ headers: { own: payload }, workflowStartHeaders: { own: payload } }));
});

describe('a workflow', () => {
  type Step = (input: object, next: (input: object) => object) => object;
  /** What its outbound calls carry after it was started with `headers`. */
  const handed = (headers: object): object[] => {
    const { inbound, outbound } = interceptors() as unknown as { inbound: [{ execute: Step }]; outbound: [Record<string, Step>] };
    inbound[0].execute({ headers, args: [] }, (input) => input);
    return Object.values(outbound[0]).map((step) => step({ headers: { own: payload }, seq: 1 }, (input) => input));
  };
  test('hands the payload on as it came to activities, children and its next execution', () => {
    expect(handed({ traceparent: payload, another: payload })).toEqual(Array.from({ length: 3 }, () => ({ headers: { own: payload, traceparent: payload }, seq: 1 })));
  });
  test('that was started without a trace adds nothing', () => expect(handed({ another: payload })).toEqual(Array.from({ length: 3 }, () => ({ headers: { own: payload }, seq: 1 }))));
  test('has nothing of the one before it in the same sandbox', () => {
    handed({ traceparent: payload });
    expect(handed({})).toEqual(Array.from({ length: 3 }, () => ({ headers: { own: payload }, seq: 1 })));
  });
});
