import { getEventListeners } from 'node:events';
import type { Connection } from '@temporalio/client';
import { createActivityPoller } from '../../../../src/adapters/temporal/activity-poller.ts';

/** Answers `quick` polls at once, without a task, and keeps the next one open until it is aborted; adds a listener for each call and never takes it off, as the client's connection does. */
function fakeConnection(quick: number) {
  const signals = new Set<AbortSignal>();
  let polls = 0;
  let current: AbortSignal | null = null;
  let open: () => void;
  const isOpen = new Promise<void>((resolve) => (open = resolve));
  const connection = {
    withDeadline: <T>(_at: number, call: () => Promise<T>) => call(),
    withAbortSignal: <T>(signal: AbortSignal, call: () => Promise<T>) => {
      signals.add(signal);
      current = signal;
      return call();
    },
    workflowService: {
      pollActivityTaskQueue: () =>
        new Promise((resolve, reject) => {
          current?.addEventListener('abort', () => reject(Object.assign(new Error('1 CANCELLED'), { code: 1 })));
          polls += 1;
          if (polls <= quick) resolve({ taskToken: new Uint8Array() });
          else open();
        }),
    },
  };
  return { connection: connection as unknown as Connection, signals, isOpen, polls: () => polls };
}

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const pollerOn = (connection: Connection) =>
  createActivityPoller({ connection, namespace: 'default', taskQueue: 'host:h1', identity: 'agent@h1#0', activities: {}, maxConcurrent: 4, inFlight: { enter: async () => undefined, leave: async () => undefined, leftovers: async () => [] }, logger: quiet });

test('an agent polls once a minute for years: no call of an earlier poll is kept by a listener of the next', async () => {
  const { connection, signals, isOpen, polls } = fakeConnection(500);
  const poller = pollerOn(connection);
  await poller.start();
  await isOpen;
  expect(polls()).toBe(501);
  expect(Math.max(...[...signals].map((signal) => getEventListeners(signal, 'abort').length))).toBe(1);
  await poller.stop(0);
});

test('a poll that is open when the agent stops is ended', async () => {
  const { connection, signals, isOpen, polls } = fakeConnection(0);
  const poller = pollerOn(connection);
  await poller.start();
  await isOpen;
  await poller.stop(0);
  expect([...signals].map(({ aborted }) => aborted)).toEqual([true]);
  expect(polls()).toBe(1);
});
