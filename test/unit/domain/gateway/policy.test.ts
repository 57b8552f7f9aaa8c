import proto from '@temporalio/proto';
import fc from 'fast-check';
import { fieldsOf, withBytes } from '../../../../src/domain/gateway/message.ts';
import { allowedMethods, methodLabel, refusedMethods, workflowServiceName, type AllowedMethod } from '../../../../src/domain/gateway/methods.ts';
import { decide, pollerIdentity, polledTokenField, rules } from '../../../../src/domain/gateway/policy.ts';
import type { HostId } from '../../../../src/domain/ids.ts';

const api = proto.temporal.api.workflowservice.v1;
/** What the package knows of itself at run time, which its types do not tell. */
const service = api.WorkflowService as unknown as { readonly methods: Record<string, { readonly requestType: string }> };
const typeOf = (name: string) => (api as unknown as Record<string, { readonly fields: Record<string, { readonly id: number; readonly type: string }>; encode(message: object): { finish(): Uint8Array }; decode(bytes: Uint8Array): Record<string, unknown> }>)[name]!;

const host = 'h1' as HostId;
const caller = { host, namespace: 'default' };
const pathOf = (method: string): string => `/${workflowServiceName}/${method}`;
const requestOf = (method: string, message: object): Uint8Array => typeOf(service.methods[method]!.requestType.split('.').at(-1)!).encode(message).finish();
const verdictOf = (method: string, message: object | Uint8Array): string => {
  const decision = decide(pathOf(method), message instanceof Uint8Array ? message : requestOf(method, message), caller);
  return decision.verdict === 'pass' ? 'pass' : decision.code;
};

const taskToken = Buffer.from('a token');
const identity = pollerIdentity(host, '0.1.0');
const payloads = { payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{}') }] };
const good: Record<AllowedMethod, object> = {
  GetSystemInfo: {},
  PollActivityTaskQueue: { namespace: 'default', taskQueue: { name: 'host:h1' }, identity, taskQueueMetadata: {} },
  RecordActivityTaskHeartbeat: { namespace: 'default', taskToken, identity, details: payloads },
  RespondActivityTaskCompleted: { namespace: 'default', taskToken, identity, result: payloads },
  RespondActivityTaskFailed: { namespace: 'default', taskToken, identity, failure: { message: 'no' } },
  RespondActivityTaskCanceled: { namespace: 'default', taskToken, identity },
};

describe('which methods', () => {
  test('every method of the service is decided: one that a newer SDK brings fails here until it is', () => {
    expect([...allowedMethods, ...refusedMethods].sort()).toEqual(Object.keys(service.methods).sort());
    expect(new Set([...allowedMethods, ...refusedMethods]).size).toBe(allowedMethods.length + refusedMethods.length);
  });

  test('every field that is let through has the number and kind that the SDK gives it', () => {
    const names = { namespace: ['namespace', 'string'], identity: ['identity', 'string'], taskToken: ['taskToken', 'bytes'], queue: ['taskQueue', 'temporal.api.taskqueue.v1.TaskQueue'] } as const;
    for (const method of allowedMethods) {
      const { fields } = typeOf(service.methods[method]!.requestType.split('.').at(-1)!);
      for (const [number, meaning] of Object.entries(rules[method].fields)) {
        const [name, field] = Object.entries(fields).find(([, { id }]) => id === Number(number))!;
        if (meaning === 'content') expect(['details', 'result', 'failure', 'taskQueueMetadata']).toContain(name);
        else expect([name, field.type]).toEqual(names[meaning]);
      }
    }
    expect(typeOf('PollActivityTaskQueueResponse').fields['taskToken']).toMatchObject({ id: polledTokenField, type: 'bytes' });
  });

  test.each(allowedMethods.map((method) => [method]))('%s as an agent sends it passes', (method) => expect(verdictOf(method, good[method])).toBe('pass'));

  test.each([...refusedMethods.map((method) => pathOf(method)), pathOf('OfTomorrow'), '/temporal.api.operatorservice.v1.OperatorService/DeleteNamespace', '/grpc.health.v1.Health/Check', `/${workflowServiceName}/GetSystemInfo/more`, `//${workflowServiceName}/GetSystemInfo`, '/x/GetSystemInfo', 'GetSystemInfo', ''])(
    '%s is refused, whatever it says',
    (path) => expect(decide(path, requestOf('PollActivityTaskQueue', good.PollActivityTaskQueue), caller)).toEqual({ verdict: 'refuse', code: 'method_not_allowed' }),
  );

  test('names that a caller makes up are one label', () => {
    expect([pathOf('StartWorkflowExecution'), pathOf('A1'), '/b2/c3', '/grpc.health.v1.Health/Check', 'x'].map(methodLabel)).toEqual(['StartWorkflowExecution', 'other', 'other', 'Health', 'other']);
  });
});

describe('which messages', () => {
  const poll = good.PollActivityTaskQueue;
  const beat = good.RecordActivityTaskHeartbeat;
  test.each<[string, AllowedMethod, object, string]>([
    ["another host's queue", 'PollActivityTaskQueue', { ...poll, taskQueue: { name: 'host:h2' } }, 'queue_not_allowed'],
    ['a queue whose name begins as its own', 'PollActivityTaskQueue', { ...poll, taskQueue: { name: 'host:h11' } }, 'queue_not_allowed'],
    ["control's queue", 'PollActivityTaskQueue', { ...poll, taskQueue: { name: 'control' } }, 'queue_not_allowed'],
    ['its own queue with a kind', 'PollActivityTaskQueue', { ...poll, taskQueue: { name: 'host:h1', kind: 2 } }, 'queue_not_allowed'],
    ["its own queue with another one's normal name", 'PollActivityTaskQueue', { ...poll, taskQueue: { name: 'host:h1', normalName: 'host:h2' } }, 'queue_not_allowed'],
    ['a queue without a name', 'PollActivityTaskQueue', { ...poll, taskQueue: {} }, 'queue_not_allowed'],
    ['no queue', 'PollActivityTaskQueue', { ...poll, taskQueue: null }, 'queue_not_allowed'],
    ['another namespace', 'PollActivityTaskQueue', { ...poll, namespace: 'other' }, 'namespace_not_allowed'],
    ['no namespace', 'RecordActivityTaskHeartbeat', { ...beat, namespace: undefined }, 'namespace_not_allowed'],
    ["another host's name", 'PollActivityTaskQueue', { ...poll, identity: 'agent@h2#0.1.0' }, 'identity_not_allowed'],
    ['a name that begins as its own', 'PollActivityTaskQueue', { ...poll, identity: 'agent@h11#0.1.0' }, 'identity_not_allowed'],
    ['its name and bytes that are no text', 'PollActivityTaskQueue', Buffer.from(requestOf('PollActivityTaskQueue', { ...poll, identity: 'agent@h1#\u00e9' })), 'identity_not_allowed'],
    ['its name without a version', 'PollActivityTaskQueue', { ...poll, identity: 'agent@h1#' }, 'identity_not_allowed'],
    ['no name', 'RecordActivityTaskHeartbeat', { ...beat, identity: '' }, 'identity_not_allowed'],
    ['no task token', 'RecordActivityTaskHeartbeat', { ...beat, taskToken: undefined }, 'task_token_refused'],
    ['a queue for control tasks', 'PollActivityTaskQueue', { ...poll, workerControlTaskQueue: 'control' }, 'field_not_allowed'],
    ['a deployment', 'PollActivityTaskQueue', { ...poll, deploymentOptions: { buildId: 'x' } }, 'field_not_allowed'],
    ['a resource to route by', 'RecordActivityTaskHeartbeat', { ...beat, resourceId: 'workflow:other' }, 'field_not_allowed'],
    ['anything, where nothing is asked', 'GetSystemInfo', new Uint8Array([10, 1, 65]), 'field_not_allowed'],
  ])('%s: refused', (_name, method, message, code) => expect(verdictOf(method, message)).toBe(code));

  test('a queue or namespace that is said twice is refused, whichever of the two comes last', () => {
    const own = requestOf('PollActivityTaskQueue', poll);
    for (const more of [{ taskQueue: { name: 'host:h2' } }, { taskQueue: { name: 'host:h1' } }, { namespace: 'default' }]) {
      const other = requestOf('PollActivityTaskQueue', more);
      expect(verdictOf('PollActivityTaskQueue', Buffer.concat([own, other]))).toBe('message_malformed');
      expect(verdictOf('PollActivityTaskQueue', Buffer.concat([other, own]))).not.toBe('pass');
    }
  });

  test('a tag in a longer form than it needs, a group, and a length beyond the end are no message', () => {
    const own = requestOf('PollActivityTaskQueue', poll);
    for (const more of [[0x92, 0x00, 0x02, 0x0a, 0x00], [0x0b, 0x0c], [0x12, 0x7f], [0x12], [0x00, 0x00]]) expect(verdictOf('PollActivityTaskQueue', Buffer.concat([own, Buffer.from(more)]))).toBe('message_malformed');
    expect(verdictOf('PollActivityTaskQueue', Buffer.concat([own, Buffer.from([0x28, 0x01])]))).toBe('field_not_allowed');
  });

  test('whatever bytes come: what passes says the same to a whole decoder', () => {
    const decoder = typeOf('PollActivityTaskQueueRequest');
    const own = requestOf('PollActivityTaskQueue', poll);
    const edits = fc.array(fc.record({ at: fc.nat(own.length), cut: fc.nat(3), put: fc.uint8Array({ maxLength: 6 }) }), { maxLength: 3 });
    fc.assert(
      fc.property(edits, (list) => {
        let bytes = Buffer.from(own);
        for (const { at, cut, put } of list) bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
        if (decide(pathOf('PollActivityTaskQueue'), bytes, caller).verdict !== 'pass') return;
        const read = readOrNull(() => decoder.decode(bytes)) as { namespace: string; taskQueue: { name: string }; identity: string } | null;
        if (read === null) return; // What the server cannot read either, it refuses.
        expect([read.namespace, read.taskQueue.name, read.identity.startsWith('agent@h1#')]).toEqual(['default', 'host:h1', true]);
      }),
      { numRuns: 2_000 },
    );
  });
});

function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

test('another task token in a message: the token is the only thing that changes, also beside fields that nobody knows', () => {
  const type = typeOf('RespondActivityTaskCompletedRequest');
  const request = Buffer.concat([type.encode(good.RespondActivityTaskCompleted).finish(), Buffer.from([0xfa, 0x07, 2, 1, 2])]);
  const field = fieldsOf(request)!.find(({ number }) => number === 1)!;
  for (const size of [1, 127, 128, 70_000]) {
    const token = Buffer.alloc(size, 7);
    const changed = withBytes(request, field, token);
    expect(type.decode(changed)).toEqual(type.decode(withBytes(changed, fieldsOf(changed)!.find(({ number }) => number === 1)!, token)));
    expect(Buffer.from((type.decode(changed) as { taskToken: Uint8Array }).taskToken).equals(token)).toBe(true);
    const back = withBytes(changed, fieldsOf(changed)!.find(({ number }) => number === 1)!, taskToken);
    expect(Buffer.from(back).equals(request)).toBe(true);
  }
});
