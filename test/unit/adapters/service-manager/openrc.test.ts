import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as commands from '../../../../src/adapters/service-manager/openrc/commands.ts';
import { createOpenRcServiceManager } from '../../../../src/adapters/service-manager/openrc/index.ts';
import { openRcNames, ownerLine, renderInitScript, renderLaunchFile, word } from '../../../../src/adapters/service-manager/openrc/init-script.ts';
import { parseExitNote, parseProcessNote, parseStatusExit, saysNotInRunlevel } from '../../../../src/adapters/service-manager/openrc/parse.ts';
import { ownProduct, type InstanceName, type ProductName, type ReleaseId, type ServiceName } from '../../../../src/domain/ids.ts';
import type { InstanceSpec } from '../../../../src/ports/service-manager.ts';

const spec: InstanceSpec = {
  product: 'bloom-runtime' as ProductName,
  service: 'runtime' as ServiceName,
  instance: 'runtime-a' as InstanceName,
  releaseId: 'r2' as ReleaseId,
  releaseDir: '/opt/bloom-runtime/releases/r2',
  command: ['node', 'server.mjs', '--greet', "it's"],
  configFile: '/etc/bloom-runtime/runtime-a.conf',
  env: { PORT: '5001', GREETING: 'a "b" $c' },
  logFile: '/var/log/bloom-runtime/runtime-a.log',
  stopSignal: 'SIGINT',
  stopSeconds: 28,
  reloadSignal: null,
};
const command = ['/usr/bin/node', ...spec.command.slice(1)];
const path = '/usr/bin:/bin';
const names = openRcNames('/', '/etc/init.d', spec);
const env = commands.instanceEnvironment('/', spec, path);
const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/openrc', name), 'utf8');

/** Roots, words and values that a shell would take for something else. */
const awkward = { root: `/srv/it's a $(root) "1"`, command: ['/opt/a b/run', "it's", '$HOME', '$(id)', '`id`', '', '*', 'a\nb', '\\'], env: { A: `'"$(id)\n\\`, B: '' } };

describe('openrc: names', () => {
  test('on a real host a service is called as the product and the instance are', () => {
    expect(names).toEqual({
      service: 'bloom-runtime-runtime-a',
      initScript: '/etc/init.d/bloom-runtime-runtime-a',
      launchFile: '/var/lib/bloom-runtime/fairlead/run/runtime-a.launch',
      processNote: '/var/lib/bloom-runtime/fairlead/run/runtime-a.process',
      exitNote: '/var/lib/bloom-runtime/fairlead/run/runtime-a.exit',
      stopMark: '/var/lib/bloom-runtime/fairlead/run/runtime-a.stop',
    });
  });

  test('hosts in directories of their own differ, always in the same way', () => {
    const [one, other] = ['/srv/one', '/srv/other'].map((root) => openRcNames(root, '/etc/init.d', spec).service);
    expect(one).toMatch(/^h[0-9a-f]{8}-bloom-runtime-runtime-a$/);
    expect(one).not.toBe(other);
    expect(openRcNames('/srv/one', '/etc/init.d', spec).service).toBe(one);
  });

  test('two instances of the same name are told apart by the second line of the script', () => {
    const [one, other] = [['a', 'b-c'], ['a-b', 'c']].map(([product, instance]) => ({ product: product as ProductName, instance: instance as InstanceName }));
    expect(openRcNames('/', '/etc/init.d', one!).service).toBe(openRcNames('/', '/etc/init.d', other!).service);
    expect(ownerLine('/', one!)).not.toBe(ownerLine('/', other!));
  });

  test('a root that no comment can hold is refused', () => {
    expect(() => createOpenRcServiceManager({ root: '/srv/a\nb', commands: { run: () => Promise.reject(new Error('nothing is run')) } })).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'host_root_unusable' }) }));
  });
});

describe('openrc: files', () => {
  test('the init script, whole', () => {
    expect(renderInitScript('/', spec, names)).toBe(fixture('init-script'));
  });

  test('the launch file, whole', () => {
    expect(renderLaunchFile('/', spec, command, env)).toBe(fixture('launch'));
  });

  test('the init script says nothing of the release: it stays as it is in an update', () => {
    const next = { ...spec, releaseId: 'r3' as ReleaseId, releaseDir: '/opt/bloom-runtime/releases/r3', env: {}, command: ['other'], stopSeconds: 1 };
    expect(renderInitScript('/', next, names)).toBe(renderInitScript('/', spec, names));
  });

  test("Fairlead's own agent comes back for ever, whatever ended it, and what it started is left alone when it ends; its API is an instance like others", () => {
    const of = (service: string) => ({ ...spec, product: ownProduct, service: service as ServiceName });
    const agent = renderInitScript('/', of('agent'), names).split('\n');
    expect(agent).toEqual(expect.arrayContaining(['respawn_max="${respawn_max:-0}"', 'rc_cgroup_cleanup=no']));
    expect(renderLaunchFile('/', of('agent'), command, env)).not.toContain('"$status" = 0');
    expect(renderInitScript('/', of('api'), names)).toContain('respawn_max:-5');
    expect(renderInitScript('/', of('api'), names)).not.toContain('rc_cgroup_cleanup');
    expect(renderLaunchFile('/', of('api'), command, env)).toContain('if [ "$status" = 0 ]; then leave; fi');
  });

  const shells = [['sh'], ['dash'], ['bash', '--posix'], ['busybox', 'sh']].filter(([shell = '']) => spawnSync(shell, ['-c', 'true'], { stdio: 'ignore' }).error === undefined);
  test.each(shells)('%s takes every generated script and line', (...shell) => {
    const [file = '', ...rest] = shell.filter((part) => typeof part === 'string');
    const odd = openRcNames(awkward.root, '/etc/init.d', spec);
    const texts = [
      renderInitScript('/', spec, names),
      renderInitScript(awkward.root, spec, odd),
      renderLaunchFile('/', spec, command, env),
      renderLaunchFile(awkward.root, spec, awkward.command, awkward.env),
      commands.recoveryLines(awkward.root, '/etc/init.d', spec, awkward.command, path).join('\n'),
      commands.stopLines(awkward.root, '/etc/init.d', spec).join('\n'),
    ];
    const directory = mkdtempSync(join(tmpdir(), 'fairlead-openrc-'));
    try {
      for (const text of texts) {
        writeFileSync(join(directory, 'script'), text);
        expect(spawnSync(file, [...rest, '-n', join(directory, 'script')], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('OpenRC, which reads some values twice, gets the words that were meant', () => {
    const odd = openRcNames(awkward.root, '/etc/init.d', spec);
    const text = `need() { :; }; after() { :; }\n${renderInitScript(awkward.root, spec, odd)}\neval "set -- $command_args $output_log"\nprintf '%s|' "$@"`;
    expect(execFileSync('/bin/sh', ['-c', text], { encoding: 'utf8' })).toBe(
      [`FAIRLEAD_ROOT=${awkward.root}`, 'FAIRLEAD_WATCHES=bloom-runtime/runtime-a', '/bin/sh', odd.launchFile, 'run', `${awkward.root}/var/log/bloom-runtime/runtime-a.log`, ''].join('|'),
    );
  });

  test('a word is quoted only where it has to be', () => {
    expect(['/a/b-c_d.e=1,2', '', 'a b', "it's"].map(word)).toEqual(['/a/b-c_d.e=1,2', "''", "'a b'", `'it'\\''s'`]);
  });
});

describe('openrc: command lines', () => {
  test('of rc-service and rc-update', () => {
    expect(commands.statusService('x')).toEqual(['rc-service', 'x', 'status']);
    expect(commands.startService('x')).toEqual(['rc-service', 'x', 'start']);
    expect(commands.stopService('x')).toEqual(['rc-service', 'x', 'stop']);
    expect(commands.zapService('x')).toEqual(['rc-service', 'x', 'zap']);
    expect(commands.addToBoot('x')).toEqual(['rc-update', 'add', 'x', 'default']);
    expect(commands.removeFromBoot('x')).toEqual(['rc-update', 'del', 'x', 'default']);
  });

  test('recovery writes both files, whole, and has OpenRC start what they say', () => {
    const lines = commands.recoveryLines('/', '/etc/init.d', spec, command, path);
    const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
    expect(lines).toEqual([
      '# runtime-a: have OpenRC run release r2.',
      "mkdir -p '/var/lib/bloom-runtime/fairlead/run' '/var/log/bloom-runtime'",
      `printf %s ${quoted(fixture('launch'))} >'${names.launchFile}.new' && chmod 755 '${names.launchFile}.new' && mv -f '${names.launchFile}.new' '${names.launchFile}'`,
      `printf %s ${quoted(fixture('init-script'))} >'${names.initScript}.new' && chmod 755 '${names.initScript}.new' && mv -f '${names.initScript}.new' '${names.initScript}'`,
      "rc-update add 'bloom-runtime-runtime-a' default >/dev/null",
      "rc-service 'bloom-runtime-runtime-a' stop >/dev/null 2>&1 || true",
      '# However it was started: OpenRC leaves alone what it does not think to be running.',
      `/bin/sh '${names.launchFile}' stop`,
      "rc-service 'bloom-runtime-runtime-a' zap >/dev/null 2>&1 || true",
      "rc-service 'bloom-runtime-runtime-a' start >/dev/null",
    ]);
  });

  test('no variable of the agent is in the environment of an instance', () => {
    expect(env).toEqual({ PATH: path, HOME: '/var/lib/bloom-runtime', LANG: 'C.UTF-8', PORT: '5001', GREETING: 'a "b" $c' });
  });
});

describe('openrc: what it says', () => {
  test.each([
    [0, 'started'],
    [3, 'stopped'],
    [4, 'stopping'],
    [8, 'starting'],
    [16, 'inactive'],
    [32, 'crashed'],
    [64, 'unsupervised'],
    [1, null],
    [127, null],
    [null, null],
  ])('exit status %s: %s', (exit, state) => {
    expect(parseStatusExit(exit)).toBe(state);
  });

  test.each([
    ['12-345 b0 67 89 r1\n', { launchId: '12-345', bootId: 'b0', pid: 67, startTicks: '89', releaseId: 'r1' }],
    ['12-345 b0 67 89 r1', null],
    ['12-345 b0 67 89\n', null],
    ['', null],
    [null, null],
  ])('process note %j', (text, note) => {
    expect(parseProcessNote(text)).toEqual(note);
  });

  test.each([
    ['l1 0\n', 'exit 0'],
    ['l1 7\n', 'exit 7'],
    ['l1 137\n', 'SIGKILL'],
    ['l1 255\n', 'exit 255'],
    ['l2 7\n', null],
    ['l1 7', null],
    [null, null],
  ])('exit note %j: %s', (text, exit) => {
    expect(parseExitNote(text, 'l1')).toBe(exit);
  });

  test('a service that is in no runlevel, told apart from a failure', () => {
    expect(saysNotInRunlevel(" * rc-update: service `x' is not in the runlevel `default'\n")).toBe(true);
    expect(saysNotInRunlevel(' * rc-update: Permission denied\n')).toBe(false);
  });
});
