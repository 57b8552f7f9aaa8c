import { hostTaskQueue, type HostId } from '../ids.ts';
import { fieldsOf, type WireField } from './message.ts';
import { allowedMethodOf, type AllowedMethod } from './methods.ts';

/** Why a call was refused; stable, for metrics and audit. */
export type RefusalCode =
  | 'key_missing'
  | 'key_refused'
  | 'method_not_allowed'
  | 'message_malformed'
  | 'field_not_allowed'
  | 'namespace_not_allowed'
  | 'queue_not_allowed'
  | 'identity_not_allowed'
  | 'task_token_refused'
  | 'too_many_polls'
  | 'too_many_calls';

/** Who calls, and the one namespace there is for hosts. */
export interface Caller {
  readonly host: HostId;
  readonly namespace: string;
}

export type Decision =
  | {
      readonly verdict: 'pass';
      readonly method: AllowedMethod;
      /** Where the sealed task token lies that this call answers for, or null where it answers for none. */
      readonly taskToken: WireField | null;
    }
  | { readonly verdict: 'refuse'; readonly code: RefusalCode };

/** `content` passes unread: payloads, failures, how fast a queue is taken from. */
type Meaning = 'namespace' | 'queue' | 'identity' | 'taskToken' | 'content';
interface Rule {
  /** Every field that a call may have, by its number in service.proto. */
  readonly fields: Readonly<Record<number, Meaning>>;
  /** What no call may lack. */
  readonly needs: readonly Meaning[];
}

const answer: Rule = { fields: { 1: 'taskToken', 2: 'content', 3: 'identity', 4: 'namespace' }, needs: ['taskToken', 'identity', 'namespace'] };

/**
 * Fields that an agent does not send are not let through: they route (resource id, deployment), or name other queues (worker control queue), and what a newer
 * server takes them for is not known here.
 */
export const rules: Readonly<Record<AllowedMethod, Rule>> = {
  GetSystemInfo: { fields: {}, needs: [] },
  PollActivityTaskQueue: { fields: { 1: 'namespace', 2: 'queue', 3: 'identity', 4: 'content' }, needs: ['namespace', 'queue', 'identity'] },
  RecordActivityTaskHeartbeat: answer,
  RespondActivityTaskCompleted: answer,
  RespondActivityTaskFailed: answer,
  RespondActivityTaskCanceled: answer,
};

/** The number of the task token's field in what a poll brings. */
export const polledTokenField = 1;

/** How an agent names itself to Temporal: `agent@h1#0.1.0`. */
export const pollerIdentity = (host: HostId, version: string): string => `agent@${host}#${version}`;

/**
 * Whether a host may make a call. The message is read as strictly as it can be: a field that comes twice is refused, because whoever reads the message next
 * may take the other one. A task token is found here and judged by who holds the keys of the seal.
 *
 * @param path `/service/method` of the gRPC call
 * @param message the request as it came
 */
export function decide(path: string, message: Uint8Array, caller: Caller): Decision {
  const method = allowedMethodOf(path);
  if (method === null) return refuse('method_not_allowed');
  const found = fieldsOf(message);
  if (found === null) return refuse('message_malformed');
  const { fields, needs } = rules[method];
  const seen = new Map<Meaning, WireField>();
  for (const field of found) {
    const meaning = fields[field.number];
    if (meaning === undefined || field.wireType !== 2) return refuse('field_not_allowed');
    if (seen.has(meaning)) return refuse('message_malformed');
    seen.set(meaning, field);
    const value = message.subarray(field.valueStart, field.end);
    if (meaning === 'namespace' && !same(value, caller.namespace)) return refuse('namespace_not_allowed');
    if (meaning === 'queue' && !isQueue(value, hostTaskQueue(caller.host))) return refuse('queue_not_allowed');
    if (meaning === 'identity' && !isIdentity(value, pollerIdentity(caller.host, ''))) return refuse('identity_not_allowed');
    if (meaning === 'taskToken' && value.length === 0) return refuse('task_token_refused');
  }
  const lacking = needs.find((meaning) => !seen.has(meaning));
  if (lacking !== undefined) return refuse(lackingCodes[lacking]);
  return { verdict: 'pass', method, taskToken: seen.get('taskToken') ?? null };
}

const refuse = (code: RefusalCode): Decision => ({ verdict: 'refuse', code });

const lackingCodes: Readonly<Record<Meaning, RefusalCode>> = {
  namespace: 'namespace_not_allowed',
  queue: 'queue_not_allowed',
  identity: 'identity_not_allowed',
  taskToken: 'task_token_refused',
  content: 'message_malformed',
};

/** A TaskQueue message with the name and nothing else: not the kind, and not the normal name, by which a sticky queue would be another one. */
function isQueue(message: Uint8Array, name: string): boolean {
  const fields = fieldsOf(message);
  const [only, ...more] = fields ?? [];
  return only !== undefined && more.length === 0 && only.number === 1 && only.wireType === 2 && same(message.subarray(only.valueStart, only.end), name);
}

const isIdentity = (bytes: Uint8Array, beginning: string): boolean => {
  const version = bytes.subarray(beginning.length);
  return startsWith(bytes, beginning) && version.length > 0 && version.length <= longestVersion && version.every((byte) => byte > 0x20 && byte < 0x7f);
};
const longestVersion = 64;

// Bytes are compared, not texts: a decoder may make the same text of different bytes.
const encoder = new TextEncoder();
const same = (bytes: Uint8Array, text: string): boolean => bytes.length === encoder.encode(text).length && startsWith(bytes, text);
const startsWith = (bytes: Uint8Array, text: string): boolean => encoder.encode(text).every((byte, index) => bytes[index] === byte);
