/**
 * What an agent says to Temporal and hears from it: the calls of its poller. A connection describes every message of the server's API in memory, some
 * three thousand, of which these need a tenth.
 */
export const agentCalls = [
  'GetSystemInfo',
  'PollActivityTaskQueue',
  'RecordActivityTaskHeartbeat',
  'RespondActivityTaskCompleted',
  'RespondActivityTaskFailed',
  'RespondActivityTaskFailedById',
  'RespondActivityTaskCanceled',
] as const;

/** Always there: what a failure and a payload are made of, what comes with a refusal, and what describes the rest. */
const always = ['temporal.api.common.v1', 'temporal.api.failure.v1', 'temporal.api.errordetails.v1', 'google'];

/** A part of a description as protobuf.js keeps it in JSON: a namespace, a message, an enumeration, a service or an extension. */
interface Part {
  readonly nested?: Readonly<Record<string, Part>>;
  readonly fields?: Readonly<Record<string, { readonly type: string }>>;
  readonly methods?: Readonly<Record<string, { readonly requestType: string; readonly responseType: string }>>;
}

/**
 * Takes the messages that an agent has no use for out of the description of Temporal's API. Enumerations and namespaces stay, and services without calls: the
 * client looks at them when it is loaded.
 *
 * @param source the module `@temporalio/proto/protos/json-module.js`: one call of `addJSON`
 * @throws Error where the module does not look like that
 */
export function withAgentMessagesOnly(source: string): string {
  const match = /^([\s\S]*?\.addJSON\()(\{[\s\S]*\})(\);[\s\S]*)$/.exec(source);
  if (match === null) throw new Error('the description of the messages of Temporal has another form than it had');
  const [, before, text, after] = match as unknown as [string, string, string, string];
  return `${before}${JSON.stringify(prune({ nested: JSON.parse(text) as Record<string, Part> }).nested)}${after}`;
}

function prune(root: Part): Part {
  const parts = new Map<string, Part>();
  const list = (part: Part, path: string): void => {
    for (const [name, child] of Object.entries(part.nested ?? {})) {
      const at = path === '' ? name : `${path}.${name}`;
      parts.set(at, child);
      list(child, at);
    }
  };
  list(root, '');

  const kept = new Set<string>();
  const keep = (path: string): void => {
    const part = parts.get(path);
    if (part === undefined || kept.has(path)) return;
    kept.add(path);
    for (const { type } of Object.values(part.fields ?? {})) keep(resolve(type, path));
    // Who keeps a message keeps the one around it.
    keep(outer(path));
  };
  /** As protobuf.js: from the innermost scope outwards. */
  const resolve = (type: string, from: string): string => {
    for (let scope = from; scope !== ''; scope = outer(scope)) if (parts.has(`${scope}.${type}`)) return `${scope}.${type}`;
    return type;
  };
  const isAgents = (service: string, method: string): boolean => service === 'temporal.api.workflowservice.v1.WorkflowService' && (agentCalls as readonly string[]).includes(method);
  for (const [path, { methods = {} }] of parts) {
    if (always.some((prefix) => path.startsWith(`${prefix}.`))) keep(path);
    for (const [name, { requestType, responseType }] of Object.entries(methods)) {
      if (isAgents(path, name)) for (const type of [requestType, responseType]) keep(resolve(type, path));
    }
  }

  const rest = (part: Part, path: string): Part => {
    const nested = Object.entries(part.nested ?? {}).flatMap(([name, child]) => {
      const at = path === '' ? name : `${path}.${name}`;
      return child.fields === undefined || kept.has(at) ? [[name, rest(child, at)] as const] : [];
    });
    return {
      ...part,
      ...(part.nested === undefined ? {} : { nested: Object.fromEntries(nested) }),
      ...(part.methods === undefined ? {} : { methods: Object.fromEntries(Object.entries(part.methods).filter(([name]) => isAgents(path, name))) }),
    };
  };
  return rest(root, '');
}

const outer = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));
