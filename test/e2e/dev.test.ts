import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { destroyDevDirectory, fairlead, isRunning, makeDevDirectory, readProcesses, startDevProcess } from '../support/dev.ts';
import { eventually } from '../support/eventually.ts';
import type { DevProcess } from '../support/dev.ts';

const startLimitMs = 180_000;

describe('fairlead dev', () => {
  let dir: string;
  let dev: DevProcess;
  const strays: number[] = [];

  beforeAll(async () => {
    dir = await makeDevDirectory();
    dev = await startDevProcess(dir, ['--hosts', '2']);
  }, startLimitMs);

  afterAll(async () => {
    await dev?.stop();
    for (const pid of strays) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await destroyDevDirectory(dir);
  }, startLimitMs);

  const hostsOf = async (): Promise<{ host: string; status: string }[]> => {
    const { stdout, stderr, code } = await fairlead(['nodes', 'list', '--json', '--dir', dir]);
    if (code !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { hosts: { host: string; status: string }[] }).hosts;
  };

  test('is ready only when every host has said hello, and commands find it by its directory', async () => {
    expect(await hostsOf()).toEqual([expect.objectContaining({ host: 'h1', status: 'connected' }), expect.objectContaining({ host: 'h2', status: 'connected' })]);
    const web = await fetch(dev.ready.temporalUi);
    expect(web.status).toBe(200);
  });

  /** Guarantee 5. */
  test('every secret lies in a file that only its owner reads', () => {
    const files = ['admin.key', 'publisher.key', 'audit.key', 'postgres.password', 'dev.json', 'hosts/h1/etc/fairlead/agent.key', 'hosts/h2/etc/fairlead/agent.key'];
    expect(files.map((name) => (statSync(join(dir, name)).mode & 0o777).toString(8))).toEqual(files.map(() => '600'));
  });

  test('a second one on the same directory is refused, and says who holds it', async () => {
    const { code, stderr, stdout } = await fairlead(['dev', '--dir', dir]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain(`(process ${dev.child.pid})`);
    expect(stderr).toContain('--dir');
  });

  test.each(['control', 'api', 'agent-h1', 'temporal', 'postgres'])('%s killed: is started again, and everything answers as before', async (name) => {
    const before = readProcesses(dir)[name]!.pid;
    process.kill(before, 'SIGKILL');
    const after = await eventually(`${name} has a new process`, () => {
      const pid = readProcesses(dir)[name]?.pid;
      return pid !== undefined && pid !== before && isRunning(pid) ? pid : null;
    });
    expect(after).not.toBe(before);
    await eventually('it is said', () => dev.notes().includes(`${name} was ended by SIGKILL; starting it again`) || null);
    await eventually('the API is ready and both hosts are connected', async () => {
      const ready = await fetch(`${dev.ready.api}/health/ready`).then((response) => response.ok, () => false);
      if (!ready) return null;
      // Ready at one moment, and the command may still come upon a connection of the server that is gone.
      const hosts = await hostsOf().catch(() => []);
      return hosts.length === 2 && hosts.every(({ status }) => status === 'connected') ? true : null;
    }, 60_000);
  }, 180_000);

  test('itself killed: the next one ends what was left, takes the same ports, keeps the data, and leaves instances of hosts running', async () => {
    const made = await fairlead(['keys', 'create', 'before the crash', '--json', '--dir', dir]);
    expect(made.code).toBe(0);
    const instance = startInstance(dev.ready.hosts[0]!.root);
    strays.push(instance);
    const left = await eventually('all of it runs', () => {
      const pids = Object.values(readProcesses(dir)).map(({ pid }) => pid);
      return pids.length === 6 && pids.every(isRunning) ? pids : null;
    }, 60_000);
    const before = dev.ready;
    await dev.killHard();
    expect(left.filter(isRunning)).toEqual(left);

    dev = await startDevProcess(dir, ['--hosts', '2']);
    expect(dev.notes()).toMatch(/took over from a fairlead dev that was killed: ended agent-h\d, agent-h\d, api, control, temporal, postgres/);
    expect(left.filter(isRunning)).toEqual([]);
    expect(isRunning(instance)).toBe(true);
    expect({ api: dev.ready.api, temporal: dev.ready.temporal, ui: dev.ready.temporalUi }).toEqual({ api: before.api, temporal: before.temporal, ui: before.temporalUi });
    const keys = await fairlead(['keys', 'list', '--json', '--dir', dir]);
    expect((JSON.parse(keys.stdout) as { keys: { name: string }[] }).keys.map(({ name }) => name)).toContain('before the crash');
  }, startLimitMs);

  /** Guarantee 4. */
  test('the audit is signed while it grows, and its export verifies by itself, with a checkpoint that was kept; a file whose tail was cut does not', async () => {
    const run = (...argv: string[]) => fairlead(['audit', ...argv, '--dir', dir]);
    expect((await fairlead(['keys', 'create', 'audited', '--dir', dir])).code).toBe(0);
    const saved = join(dir, 'saved.json');
    await eventually('a checkpoint is signed', async () => {
      const { stdout } = await run('checkpoints', '--json');
      writeFileSync(saved, stdout);
      return (JSON.parse(stdout) as { checkpoints: unknown[] }).checkpoints.length === 1 || null;
    }, 60_000);
    const [file, key] = [join(dir, 'audit.ndjson'), join(dir, 'audit.pub')];
    expect((await run('export', '-o', file)).code).toBe(0);
    const offline = (...argv: string[]) => fairlead(['audit', 'verify', '--file', file, '--public-key', key, '--json', ...argv]);
    const { code, stdout } = await offline('--checkpoints', saved);
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ ok: true, signaturesChecked: true, problems: [] })]);
    for (const argv of [[], ['--public-key', key, '--checkpoints', saved]]) expect((await run('verify', ...argv)).code).toBe(0);

    // As somebody who has the database: all rows away with their checkpoints, and the end where it now is.
    const header = JSON.parse(readFileSync(file, 'utf8').split('\n')[0] ?? '') as object;
    const cut = [{ ...header, head: { sequence: 0, hash: '0'.repeat(64) } }, { kind: 'end', rows: 0, checkpoints: 0 }];
    writeFileSync(file, cut.map((line) => `${JSON.stringify(line)}\n`).join(''));
    expect((await offline()).code).toBe(0);
    expect(await offline('--checkpoints', saved)).toMatchObject({ code: 1, stdout: expect.stringContaining('the tail was cut') });
  }, 180_000);

  test('told to end: ends agents, instances of hosts, and every server; nothing is left and the exit code is 0', async () => {
    const instance = startInstance(dev.ready.hosts[1]!.root);
    strays.push(instance);
    const pids = Object.values(readProcesses(dir)).map(({ pid }) => pid);
    expect(pids).toHaveLength(6);
    expect(await dev.stop()).toBe(0);
    expect([...pids, ...strays].filter(isRunning)).toEqual([]);
  }, startLimitMs);

  test('after it ended, a command says what to start', async () => {
    const { code, stderr } = await fairlead(['nodes', 'list', '--dir', dir]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/the API at http:\/\/127\.0\.0\.1:\d+ cannot be reached: nothing listens there/);
    expect(stderr).toContain('fairlead dev');
  });
});

/** What an agent leaves running on a host: a process in a session of its own that carries the host's root. */
function startInstance(root: string): number {
  const child = spawn('/bin/sh', ['-c', 'while :; do sleep 1; done'], { detached: true, stdio: 'ignore', env: { PATH: process.env['PATH'], FAIRLEAD_INSTANCE: 'lab/web-a', FAIRLEAD_ROOT: root } });
  child.unref();
  return child.pid!;
}
