import { spawn } from 'node:child_process';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { readProcess } from '../../src/adapters/process/proc.ts';
import { eventually } from '../support/eventually.ts';

const commands = createCommandRunner();
const timeoutMs = 20_000;

describe('command runner', () => {
  test('a command that succeeds: exit status, both outputs, a readable line', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'echo out; echo err >&2'], { timeoutMs });
    expect(result).toMatchObject({ exitCode: 0, signal: null, timedOut: false, stdout: 'out\n', stderr: 'err\n' });
    expect(result.summary).toMatch(/^\/bin\/sh -c 'echo out; echo err >&2' exited with 0 after \d+ ms$/);
  });

  test('a command that fails: its status and its last words, no rejection', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'echo first >&2; echo why >&2; exit 3'], { timeoutMs });
    expect(result.exitCode).toBe(3);
    expect(result.summary).toMatch(/exited with 3 after \d+ ms: why$/);
  });

  test('a command that a signal ended: the signal is named', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'kill -9 $$'], { timeoutMs });
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', timedOut: false });
  });

  test.each([
    ['a program that does not exist', ['/no/such/program'], {}],
    ['a directory that does not exist', ['/bin/true'], { cwd: '/no/such/directory' }],
    ['an empty argument list', [], {}],
    ['a NUL byte in an argument', ['/bin/true', 'a\0b'], {}],
  ])('%s: a result without exit status, in one line', async (_name, argv, options) => {
    const result = await commands.run(argv, { timeoutMs, ...options });
    expect(result).toMatchObject({ exitCode: null, timedOut: false });
    expect(result.summary).toMatch(/could not be started|was not run/);
    expect(result.summary).not.toContain('\n');
  });

  test('a command that ignores SIGTERM, with a child: at the limit the whole group is killed', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'trap "" TERM; sleep 300 & echo $!; wait; sleep 300'], { timeoutMs: 1_500 });
    expect(result).toMatchObject({ exitCode: null, timedOut: true });
    const child = Number(result.stdout);
    expect(child).toBeGreaterThan(1);
    await eventually('the child is gone', async () => (await readProcess(child)) === null);
  });

  test('a daemon that keeps the output open: the result comes at the limit all the same', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'setsid sleep 300 & echo $!'], { timeoutMs: 1_500 });
    const daemon = Number(result.stdout);
    expect(daemon).toBeGreaterThan(1);
    try {
      expect(result.timedOut).toBe(true);
      expect(await readProcess(daemon)).not.toBeNull();
    } finally {
      process.kill(daemon, 'SIGKILL');
    }
  });

  test('cancelled: the command is ended, and the result is no time-out', async () => {
    const cancel = new AbortController();
    const running = commands.run(['/bin/sh', '-c', 'exec sleep 300'], { timeoutMs, cancel: cancel.signal });
    cancel.abort();
    expect(await running).toMatchObject({ exitCode: null, timedOut: false, summary: expect.stringContaining('was cancelled') });
    expect(await commands.run(['/bin/true'], { timeoutMs, cancel: cancel.signal })).toMatchObject({ exitCode: null, summary: expect.stringContaining('cancelled before its start') });
  });

  test('more output than is kept: the end of it stays', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done'], { timeoutMs, maxOutputBytes: 1000 });
    expect(result.stdout).toHaveLength(1000);
    expect(result.stdout.endsWith('line-19999\n')).toBe(true);
  });

  test('input and environment: what is given arrives, and nothing else where it is so asked', async () => {
    const result = await commands.run(['/bin/sh', '-c', 'cat; echo "$GIVEN/${HOME-none}"'], { timeoutMs, input: 'in;', env: { GIVEN: 'yes' }, extendEnv: false });
    expect(result.stdout).toBe('in;yes/none\n');
  });

  test('left running by a caller that was killed: it is ended before the same work starts again', async () => {
    const only = { FAIRLEAD_TEST_ONLY: `work-${process.pid}-${Date.now()}` };
    const left = spawn('/bin/sleep', ['300'], { env: { PATH: '/bin', ...only }, detached: true, stdio: 'ignore' });
    const gone = new Promise((resolve) => left.once('exit', (_code, signal) => resolve(signal)));
    try {
      await eventually('the leftover runs', async () => (await readProcess(left.pid as number)) !== null);
      const result = await commands.run(['/bin/sh', '-c', 'echo again'], { timeoutMs, only });
      expect([result.stdout, await gone]).toEqual(['again\n', 'SIGKILL']);
    } finally {
      left.kill('SIGKILL');
    }
  });
});
