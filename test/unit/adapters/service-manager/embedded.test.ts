import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quoteForShell } from '../../../../src/domain/shell-word.ts';
import { launchEnvironment, watchCommand } from '../../../../src/adapters/service-manager/embedded/commands.ts';
import { parseExit, parseRecord } from '../../../../src/adapters/service-manager/embedded/parse.ts';
import { lastLines, secretsIn } from '../../../../src/adapters/service-manager/log-file.ts';
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
