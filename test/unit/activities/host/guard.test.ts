import { createGuard } from '../../../../activities/host/guard.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import type { HostId, ProductName, RunId } from '../../../../src/domain/ids.ts';
import { activityContext, createFakeHost } from '../../../support/fake-host.ts';

const run = (runId: string, fence: number, more: { host?: string; product?: string } = {}) => ({
  run: { runId: runId as RunId, fence, host: (more.host ?? 'h1') as HostId, product: (more.product ?? 'shop') as ProductName },
});

function setUp() {
  const { dependencies } = createFakeHost();
  const done: string[] = [];
  const { guarded } = createGuard(dependencies);
  const command = guarded(async (input: ReturnType<typeof run>) => void done.push(`${input.run.runId} ${input.run.fence}`));
  return { dependencies, guarded, command, done };
}

const reasonOf = (promise: Promise<unknown>) => promise.then(() => null, (error: FairleadError) => ({ ...error.reason, retryable: error.retryable }));

test('a command of an older run than the host has seen is refused, and does nothing', async () => {
  const { dependencies, command, done } = setUp();
  await command(run('new', 8), activityContext());
  expect(await reasonOf(command(run('old', 7), activityContext()))).toMatchObject({ class: 'orchestrator', code: 'stale_command', message: expect.stringMatching(/old \(fence 7\).*new \(fence 8\)/), hint: expect.stringContaining('fairlead runs show new'), retryable: false });
  expect(done).toEqual(['new 8']);
  expect(await dependencies.store.readFence('shop' as ProductName)).toEqual({ fence: 8, runId: 'new' });
});

/** Guarantee 6. */
test('a command of another run with the same fence is refused: a fence belongs to one', async () => {
  const { command, done } = setUp();
  await command(run('one', 8), activityContext());
  expect(await reasonOf(command(run('two', 8), activityContext()))).toMatchObject({ code: 'stale_command' });
  await command(run('one', 8), activityContext());
  expect(done).toEqual(['one 8', 'one 8']);
});

test('half a step above a run, a person has taken the host: the run is refused, the next one is not', async () => {
  const { dependencies, command, done } = setUp();
  await dependencies.store.writeFence('shop' as ProductName, 8.5, 'taken' as RunId);
  expect(await reasonOf(command(run('taken', 8), activityContext()))).toMatchObject({ code: 'stale_command' });
  await command(run('next', 9), activityContext());
  expect(done).toEqual(['next 9']);
});

test('a fence is of one product: another one has its own', async () => {
  const { command, done } = setUp();
  await command(run('new', 8), activityContext());
  await command(run('other', 3, { product: 'lab' }), activityContext());
  expect(done).toEqual(['new 8', 'other 3']);
});

test('a command for another host is refused, and leaves no fence', async () => {
  const { dependencies, command, done } = setUp();
  expect(await reasonOf(command(run('new', 8, { host: 'h2' }), activityContext()))).toMatchObject({ class: 'orchestrator', code: 'wrong_host', message: expect.stringMatching(/h2.*h1/) });
  expect(done).toEqual([]);
  expect(await dependencies.store.readFence('shop' as ProductName)).toBeNull();
});

test('one at a time for a product, in the order in which they came, also past one that fails; another product does not wait', async () => {
  const { guarded } = setUp();
  const events: string[] = [];
  const gates = new Map<string, () => void>();
  const command = guarded(async ({ run: { runId } }: ReturnType<typeof run>) => {
    events.push(`begin ${runId}`);
    await new Promise<void>((resolve) => gates.set(runId, resolve));
    events.push(`end ${runId}`);
    if (runId === 'a') throw new Error('a failed');
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const a = command(run('a', 1), activityContext());
  const b = command(run('b', 2), activityContext());
  const other = command(run('c', 1, { product: 'lab' }), activityContext());
  await settle();
  expect(events).toEqual(['begin a', 'begin c']);
  gates.get('a')?.();
  await expect(a).rejects.toThrow('a failed');
  await settle();
  expect(events).toEqual(['begin a', 'begin c', 'end a', 'begin b']);
  gates.get('b')?.();
  gates.get('c')?.();
  await Promise.all([b, other]);
});

test('an attempt that was cancelled while it waited for its turn does nothing', async () => {
  const { guarded } = setUp();
  const done: string[] = [];
  let release: () => void = () => undefined;
  const command = guarded(async ({ run: { runId } }: ReturnType<typeof run>) => {
    if (runId === 'first') await new Promise<void>((resolve) => (release = resolve));
    done.push(runId);
  });
  const first = command(run('first', 1), activityContext());
  const cancel = new AbortController();
  const second = command(run('second', 2), activityContext(cancel.signal));
  cancel.abort(new Error('the run was cancelled'));
  await new Promise((resolve) => setImmediate(resolve));
  release();
  await first;
  await expect(second).rejects.toThrow('the run was cancelled');
  expect(done).toEqual(['first']);
});
