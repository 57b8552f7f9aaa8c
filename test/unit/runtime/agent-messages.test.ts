import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { agentCalls, withAgentMessagesOnly } from '../../../src/runtime/agent-messages.ts';

const require = createRequire(import.meta.url);
const poller = readFileSync(require.resolve('../../../src/adapters/temporal/activity-poller.ts'), 'utf8');
const whole = readFileSync(require.resolve('@temporalio/proto/protos/json-module.js'), 'utf8');
const described = (source: string) => JSON.parse(/\.addJSON\((\{[\s\S]*\})\);/.exec(source)![1]!) as Record<string, unknown>;
const at = (tree: unknown, path: string): unknown => path.split('.').reduce<unknown>((part, name) => ((part as { nested?: Record<string, unknown> })?.nested ?? (part as Record<string, unknown>))?.[name], tree);

test('every call that the poller makes is described', () => {
  const made = [...poller.matchAll(/service\.([a-z]\w+)\(/g)].map(([, name]) => `${name![0]!.toUpperCase()}${name!.slice(1)}`);
  expect(made.length).toBeGreaterThan(5);
  expect(made.filter((name) => !(agentCalls as readonly string[]).includes(name))).toEqual([]);
});

describe('the description of the messages of Temporal, for an agent', () => {
  const pruned = withAgentMessagesOnly(whole);
  const tree = { nested: described(pruned) };

  test('is a fifth as long', () => {
    expect(pruned.length).toBeLessThan(JSON.stringify(described(whole)).length / 4);
  });

  test.each(['PollActivityTaskQueueResponse', 'RespondActivityTaskFailedByIdRequest', 'GetSystemInfoResponse'])('has %s, unchanged', (name) => {
    expect(at(tree, `temporal.api.workflowservice.v1.${name}`)).toEqual(at({ nested: described(whole) }, `temporal.api.workflowservice.v1.${name}`));
  });

  test.each(['temporal.api.common.v1.Header', 'temporal.api.failure.v1.Failure', 'temporal.api.enums.v1.EventType', 'google.protobuf.Duration', 'temporal.api.errordetails.v1.PermissionDeniedFailure'])('has %s', (path) => {
    expect(at(tree, path)).toBeDefined();
  });

  test.each(['temporal.api.history.v1.HistoryEvent', 'temporal.api.workflowservice.v1.StartWorkflowExecutionRequest', 'temporal.api.cloud.cloudservice.v1.GetUsersRequest'])('has no %s', (path) => {
    expect(at({ nested: described(whole) }, path)).toBeDefined();
    expect(at(tree, path)).toBeUndefined();
  });

  test('keeps the calls of an agent, and of other services none', () => {
    const methods = (name: string) => Object.keys((at(tree, `temporal.api.${name}`) as { methods: object }).methods);
    expect(methods('workflowservice.v1.WorkflowService').sort()).toEqual([...agentCalls].sort());
    expect(methods('operatorservice.v1.OperatorService')).toEqual([]);
  });

  test('every message that is named is there', () => {
    const names = new Set<string>();
    const missing: string[] = [];
    interface Part { readonly nested?: Record<string, Part>; readonly fields?: Record<string, { readonly type: string }> }
    const walk = (part: Part, path: string, see: (part: Part, path: string) => void): void => {
      see(part, path);
      for (const [name, child] of Object.entries(part.nested ?? {})) walk(child, path === '' ? name : `${path}.${name}`, see);
    };
    walk(tree as Part, '', (_part, path) => void names.add(path));
    walk(tree as Part, '', ({ fields = {} }, path) => {
      for (const { type } of Object.values(fields)) {
        const scopes = path.split('.').map((_, at, all) => all.slice(0, all.length - at).join('.'));
        if (/^[a-z]\w*$/.test(type) || names.has(type) || scopes.some((scope) => names.has(`${scope}.${type}`))) continue;
        missing.push(`${path}: ${type}`);
      }
    });
    expect(missing).toEqual([]);
  });
});

test('a module of another form is refused, not shipped', () => {
  expect(() => withAgentMessagesOnly('module.exports = {};')).toThrow('another form');
});
