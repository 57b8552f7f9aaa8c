import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockDirectory } from '../../../src/runtime/dev/lock.ts';
import { choosePort } from '../../../src/runtime/dev/ports.ts';
import { createDevState, readDevState } from '../../../src/runtime/dev/state.ts';
import { supervise } from '../../../src/runtime/processes.ts';
import type { ProcessPlan, Supervised } from '../../../src/runtime/processes.ts';
import { isRunning } from '../../support/dev.ts';
import { eventually } from '../../support/eventually.ts';

let folder: string;
const running: Supervised[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairlead-processes-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((process) => process.kill()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(script: string, more: Partial<ProcessPlan> = {}): Promise<{ process: Supervised; pids: number[]; said: string[] }> {
  const pids: number[] = [];
  const said: string[] = [];
  const plan: ProcessPlan = { name: 'it', command: ['/bin/sh', '-c', script], env: { PATH: '/usr/bin:/bin', FOLDER: folder }, logFile: join(folder, 'it.log'), stopSignal: 'SIGTERM', stopLimitMs: 5_000, ...more };
  const process = await supervise(plan, { say: (line) => said.push(line), started: ({ pid }) => void pids.push(pid) });
  running.push(process);
  return { process, pids, said };
}

test('a process that is killed is started again, and a line says so', async () => {
  const { pids, said } = await start('exec sleep 600');
  process.kill(pids[0]!, 'SIGKILL');
  await eventually('a second process', () => (pids.length === 2 && isRunning(pids[1]!) ? true : null));
  expect(said).toEqual([expect.stringContaining('it was ended by SIGKILL; starting it again in 0.1 s')]);
});

test('one that dies at once each time is tried again with growing pauses', async () => {
  const { said } = await start('exit 7');
  await eventually('four ends', () => (said.length >= 4 ? true : null));
  expect(said.slice(0, 4).map((line) => /again in ([\d.]+) s/.exec(line)?.[1])).toEqual(['0.1', '0.2', '0.4', '0.8']);
});

test('one that gives up before it is ready: the error has its exit code and the end of its log', async () => {
  const { process } = await start('echo the port is taken >&2; exit 3');
  await expect(process.untilReady(async () => 'no answer', 20_000)).rejects.toThrow(/it ended with exit code 3 before it was ready[\s\S]*the port is taken/);
});

test('one that is never ready: the error says what was lacking, at the limit', async () => {
  const { process } = await start('exec sleep 600');
  await expect(process.untilReady(async () => 'it says no', 100)).rejects.toThrow('it was not ready within 0.1 s: it says no');
});

test('stop: the signal is enough, and nothing is started again', async () => {
  const { process, pids, said } = await start('trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done');
  await eventually('it is up', () => (readFileSync(join(folder, 'it.log'), 'utf8').includes('up') ? true : null));
  await process.stop();
  expect(isRunning(pids[0]!)).toBe(false);
  expect(readFileSync(join(folder, 'it.log'), 'utf8')).toContain('bye');
  expect({ pids: pids.length, said }).toEqual({ pids: 1, said: [] });
});

test('stop of one that ignores the signal: killed at its limit', async () => {
  const { process, pids } = await start('trap "" TERM; echo up; while :; do sleep 0.05; done', { stopLimitMs: 200 });
  await eventually('it is up', () => (readFileSync(join(folder, 'it.log'), 'utf8').includes('up') ? true : null));
  await process.stop();
  expect(isRunning(pids[0]!)).toBe(false);
});

test('stop while it is being started again: that one is ended as well', async () => {
  const pids: number[] = [];
  let stopped: Promise<void> | null = null;
  const plan: ProcessPlan = {
    ...{ name: 'it', env: { PATH: '/usr/bin:/bin' }, logFile: join(folder, 'it.log'), stopSignal: 'SIGTERM', stopLimitMs: 5_000 },
    get command() {
      // Of the second one, when it is on its way and nobody knows its number yet.
      if (pids.length === 1) setImmediate(() => (stopped ??= again.stop()));
      return ['/bin/sh', '-c', 'exec sleep 600'];
    },
  };
  const again = await supervise(plan, { say: () => undefined, started: ({ pid }) => void pids.push(pid) });
  running.push(again);
  process.kill(pids[0]!, 'SIGKILL');
  await eventually('somebody stops it', () => stopped !== null);
  await stopped;
  expect([pids.length, pids.filter(isRunning)]).toEqual([2, []]);
});

test('a directory is locked once; the lock is free again when it was given up', async () => {
  const unlock = await lockDirectory(folder);
  await expect(lockDirectory(folder)).rejects.toMatchObject({ reason: { code: 'dev_running', message: expect.stringContaining(`process ${process.pid}`) } });
  await unlock();
  await (await lockDirectory(folder))();
});

test('a remembered port that somebody else took: another one is chosen; one that was given out is not given twice', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const chosen = await choosePort(port, undefined, new Set());
    expect(chosen).not.toBe(port);
    expect(await choosePort(chosen, undefined, new Set())).toBe(chosen);
    expect(await choosePort(chosen, undefined, new Set([chosen]))).not.toBe(chosen);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a state file that is damaged costs the ports, not the start', async () => {
  const file = join(folder, 'dev.json');
  const state = createDevState(file, await readDevState(file));
  await state.rememberPort('api', 4711);
  await state.rememberProcess('api', { pid: 1, startTicks: '2' }, 'SIGTERM');
  expect(await readDevState(file)).toMatchObject({ id: state.current().id, ports: { api: 4711 }, processes: { api: { pid: 1, startTicks: '2' } } });
  const { writeFileSync } = await import('node:fs');
  writeFileSync(file, '{"schema":1,');
  expect(await readDevState(file)).toMatchObject({ ports: {}, processes: {} });
});

test('processes of an earlier boot of the machine are forgotten: their numbers name others now', async () => {
  const file = join(folder, 'dev.json');
  const { writeFileSync } = await import('node:fs');
  writeFileSync(file, JSON.stringify({ schema: 1, id: '0123456789ab', bootId: 'another', ports: { api: 1 }, processes: { api: { pid: process.pid, startTicks: '1', signal: 'SIGTERM' } } }));
  expect(await readDevState(file)).toMatchObject({ ports: { api: 1 }, processes: {} });
});
