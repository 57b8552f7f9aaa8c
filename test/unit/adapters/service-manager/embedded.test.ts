import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quoteForShell } from '../../../../src/domain/shell-word.ts';
import { launchEnvironment, watchCommand } from '../../../../src/adapters/service-manager/embedded/commands.ts';
import { lastLines, parseConf, parseExit, parseRecord, secretsIn } from '../../../../src/adapters/service-manager/embedded/parse.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../../../../src/domain/ids.ts';
import type { InstanceSpec } from '../../../../src/ports/service-manager.ts';

const spec: InstanceSpec = {
  service: 'api' as ServiceName,
  reloadSignal: null,
  product: 'shop' as ProductName,
  instance: 'api-a' as InstanceName,
  releaseId: 'r1' as ReleaseId,
  releaseDir: '/opt/shop/releases/r1',
  command: ['node', 'api.mjs'],
  configFile: '/etc/shop/api-a.conf',
  env: { PORT: '1', FAIRLEAD_RELEASE_ID: 'forged' },
  logFile: '/var/log/shop/api-a.log',
  stopSignal: 'SIGTERM',
  stopSeconds: 10,
};

describe('embedded service manager: conf files', () => {
  const text = [
    '# comment',
    '',
    "SINGLE='a b $c `d` \"e\"'",
    "QUOTE='it'\\''s'",
    'DOUBLE="x \\"y\\" \\\\ z"',
    'BARE=plain/path:1',
    'export EXPORTED=1 # why',
    'EMPTY=',
    "LINES='first",
    "second'",
    'ESCAPED=a\\ b',
    '  INDENTED=1',
  ].join('\n');

  test('are read as sh reads them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'fairlead-conf-'));
    try {
      const file = join(directory, 'a.conf');
      writeFileSync(file, text);
      const parsed = parseConf(text, file);
      const printed = execFileSync('/bin/sh', ['-c', `set -a; . ${file}; exec env -0`], { env: {}, encoding: 'utf8' });
      const bySh = Object.fromEntries(printed.split('\0').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
      for (const own of ['PWD', 'OLDPWD', '_', 'SHLVL']) delete bySh[own];
      expect(parsed).toEqual(bySh);
      expect(Object.keys(parsed)).toHaveLength(9);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each([
    ['A=$(id)', 1],
    ['A=1\nB=`id`', 2],
    ["A='1\n2'\nB=\"$HOME\"", 3],
    ['A=1\nnot an assignment', 2],
    ["A='open", 1],
    ['A=one two', 1],
    ['A=1;reboot', 1],
    ['1A=1', 1],
  ])('%j is refused, and the line is named', (conf, line) => {
    expect(() => parseConf(conf, '/etc/x.conf')).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'conf_file_invalid', message: expect.stringContaining(`/etc/x.conf:${line}:`) }) }));
  });

  test('the value of a refused line is not in the message', () => {
    expect(() => parseConf('PASSWORD=hunter2;x', 'f')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
  });
});

describe('embedded service manager: what is launched', () => {
  test('the conf file wins over the spec, and neither over what the process is found by', () => {
    expect(launchEnvironment('/h', spec, '/bin', { PORT: '2', HOME: '/x', FAIRLEAD_ROOT: 'forged' }, 'l1')).toEqual({
      PATH: '/bin',
      HOME: '/x',
      LANG: 'C.UTF-8',
      PORT: '2',
      FAIRLEAD_RELEASE_ID: 'r1',
      FAIRLEAD_LAUNCH_ID: 'l1',
      FAIRLEAD_WATCHES: 'shop/api-a',
      FAIRLEAD_ROOT: '/h',
    });
  });

  test('words reach the command as they are', () => {
    const words = ["it's", '$HOME', 'a b', '', '*'];
    const directory = mkdtempSync(join(tmpdir(), 'fairlead-watch-'));
    try {
      const [file = '', ...rest] = watchCommand(join(directory, 'exit'), 'l1', ['/bin/sh', '-c', 'printf "%s|" "$@"', 'sh', ...words]);
      expect(execFileSync(file, rest, { encoding: 'utf8' })).toBe(`${words.join('|')}|`);
      expect(execFileSync('/bin/sh', ['-c', `printf '%s|' ${words.map(quoteForShell).join(' ')}`], { encoding: 'utf8' })).toBe(`${words.join('|')}|`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('embedded service manager: what is remembered', () => {
  test.each([
    ['l1 0\n', 'exit 0'],
    ['l1 7\n', 'exit 7'],
    ['l1 139\n', 'SIGSEGV'],
    ['l1 255\n', 'exit 255'],
    ['l2 7\n', null],
    ['l1 7', null],
    [null, null],
  ])('exit file %j of launch l1 means %j', (text, meaning) => expect(parseExit(text, 'l1')).toBe(meaning));

  test('a record that was cut short or is of another schema counts as missing', () => {
    expect(parseRecord('{"schema":1,"laun')).toBeNull();
    expect(parseRecord('{"schema":2,"launchId":"x"}')).toBeNull();
    expect(parseRecord(null)).toBeNull();
  });

  test('evidence keeps the last lines and hides secrets', () => {
    const secrets = secretsIn({ DB_PASSWORD: 'correct-horse', DATABASE_URL: 'postgres://u:p@h', PORT: '123456', API_KEY: 'x' });
    expect(secrets).toEqual(['correct-horse', 'postgres://u:p@h']);
    expect(lastLines('one\ntwo correct-horse\nthree postgres://u:p@h/db\n', 2, secrets)).toEqual(['two ****', 'three ****/db']);
  });
});
