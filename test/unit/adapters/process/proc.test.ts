import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { findByEnvironment, isAlive, parseEnvironment, parseStat, parseTcp, parseUnix, readProcess, signalProcess, waitForEnd } from '../../../../src/adapters/process/proc.ts';
import { eventually } from '../../../support/eventually.ts';

describe('what the kernel says of processes and connections', () => {
  test('a process whose name holds blanks and brackets is read right', () => {
    expect(parseStat('42 (a b) c) S 7 42 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0\n')).toEqual({ pid: 42, state: 'S', parentPid: 7, sessionId: 41, startTicks: '987654' });
    expect(parseStat('')).toBeNull();
  });

  test('an environment with equals signs and empty values', () => {
    expect(parseEnvironment('A=1\0B=x=y\0C=\0=broken\0')).toEqual({ A: '1', B: 'x=y', C: '' });
  });

  test('only established connections count, with both ports and the socket', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0',
      '   1: 0100007F:8F1C 0100007F:0FA0 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1',
      '   2: 0100007F:8F1E 0100007F:0FA0 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0 0 0 0 0 0',
      '',
    ].join('\n');
    expect(parseTcp(text)).toEqual([{ localPort: 36636, remotePort: 4000, inode: '222' }]);
  });

  test('connections of a Unix socket: accepted and waiting ones, not the listener and not the far ends', () => {
    const text = [
      'Num       RefCount Protocol Flags    Type St Inode Path',
      '0000000000000000: 00000002 00000000 00010000 0001 01  7001 pool-a.sock',
      '0000000000000000: 00000003 00000000 00000000 0001 03  7002 pool-a.sock',
      '0000000000000000: 00000002 00000000 00000000 0001 02     0 pool-a.sock',
      '0000000000000000: 00000003 00000000 00000000 0001 03  7003',
      '',
    ].join('\n');
    expect(parseUnix(text)).toEqual(new Map([['pool-a.sock', 2]]));
  });

  test('a pid that belongs to another process now is not alive, and gets no signal', async () => {
    const child = spawn('sleep', ['300'], { env: { ...process.env, PROC_TEST: String(process.pid) } });
    try {
      const found = await readProcess(child.pid as number);
      if (found === null) throw new Error('the child is not there');
      const stranger = { pid: found.pid, startTicks: '1' };
      expect(await isAlive(stranger)).toBe(false);
      expect(await signalProcess(stranger, 'SIGKILL')).toBe(false);
      expect(await isAlive(found)).toBe(true);
      // The kernel shows an environment a moment after it has begun the program.
      const shown = await eventually('its environment', async () => { const all = await findByEnvironment({ PROC_TEST: String(process.pid) }); return all.length > 0 && all; });
      expect(shown.map(({ pid }) => pid)).toEqual([child.pid]);
      expect(await waitForEnd(found, 30)).toBe(false);
      expect(await signalProcess(found, 'SIGKILL')).toBe(true);
      expect(await waitForEnd(found, 5_000)).toBe(true);
    } finally {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  });
});
