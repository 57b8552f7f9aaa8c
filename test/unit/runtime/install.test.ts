import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandRunner } from '../../../src/ports/command-runner.ts';
import { installHost } from '../../../src/runtime/install/index.ts';
import { ownServiceName, renderOwnInitScript, renderOwnUnit, type OwnService } from '../../../src/runtime/install/units.ts';

const agent: OwnService = { role: 'node', root: '/', command: ['/opt/node', '--expose-gc', "/opt/it's 100%/agent.mjs", '--config', '/etc/fairlead/config.yaml'], environment: { MALLOC_ARENA_MAX: '1' }, stopSeconds: 45 };

test("the agent's unit, whole: what it started outlives it", () => {
  expect(renderOwnUnit(agent)).toBe(`# Written by fairlead host install, which writes it anew. Yours goes into a drop-in: systemctl edit fairlead-agent.
[Unit]
Description=Fairlead agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/opt/node --expose-gc "/opt/it's 100%%/agent.mjs" --config /etc/fairlead/config.yaml
Environment=MALLOC_ARENA_MAX=1
Restart=always
RestartSec=2s
SuccessExitStatus=143
KillMode=process
TimeoutStopSec=45s

[Install]
WantedBy=multi-user.target
`);
});

test('the control plane ends with all of its parts', () => {
  expect(renderOwnUnit({ ...agent, role: 'controller' })).toContain('\nKillMode=mixed\n');
  expect(ownServiceName({ role: 'controller', root: '/' })).toBe('fairlead-control');
});

test('a host in a directory of its own has a name of its own', () => {
  expect(ownServiceName({ role: 'node', root: '/srv/one' })).toMatch(/^h[0-9a-f]{8}-fairlead-agent$/);
});

test('the init script is sh, and hands each word of the command on as it is', () => {
  const text = renderOwnInitScript(agent);
  // What openrc-run does with it: sources it, and lets a shell read the command line once more.
  const script = `${text}\neval "set -- $command_args"; printf '%s|' "$command" "$@" "$supervisor" "$retry" "$MALLOC_ARENA_MAX"; depend`;
  const words = execFileSync('/bin/sh', ['-c', `use() { :; }; after() { :; }\n${script}`], { encoding: 'utf8' });
  expect(words).toBe(`${[...agent.command, 'supervise-daemon', 'TERM/45/KILL/5', '1'].join('|')}|`);
  // What an agent started outlives it, whatever /etc/rc.conf says.
  expect([text, renderOwnInitScript({ ...agent, role: 'controller' })].map((script) => script.includes('\nrc_cgroup_cleanup=no\n'))).toEqual([true, false]);
});

describe('fairlead host install', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'fairlead-install-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** A machine on which every command works and nothing is enabled or runs until it was asked for. */
  function machine() {
    const asked: string[] = [];
    const runner: CommandRunner = {
      async run(argv) {
        const line = argv.join(' ');
        const isQuestion = / (is-enabled|is-active|status) ?/.test(line);
        const exitCode = isQuestion ? (/is-enabled/.test(line) && asked.some((before) => before.startsWith('systemctl enable')) ? 0 : 1) : 0;
        const added = asked.some((before) => before.startsWith('rc-update add'));
        asked.push(line);
        return { exitCode, signal: null, timedOut: false, stdout: line === 'rc-update show default' && added ? `        h-other | default\n   ${asked.find((before) => before.startsWith('rc-update add'))!.split(' ')[2]} | default\n` : '', stderr: '', summary: line };
      },
    };
    return { asked, runner };
  }
  const root = () => join(directory, 'host');
  const install = (commands: CommandRunner, argv: readonly string[] = ['--host-id', 'web-1', '--controller', 'https://control.example'], manager: 'systemd' | 'openrc' | null = 'systemd') =>
    installHost({ manager, argv: ['--root', root(), ...argv], commands, unitDir: join(directory, 'units'), initDir: join(directory, 'init.d'), runDir: join(directory, 'run') });
  const configFile = () => join(root(), 'etc/fairlead/config.yaml');

  test('systemd: writes configuration (0600) and unit, enables, and says what is missing', async () => {
    const { runner, asked } = machine();
    const done = await install(runner);
    expect(done.steps.map(({ result }) => result)).toEqual(['done', 'done', 'done']);
    expect(statSync(configFile()).mode & 0o777).toBe(0o600);
    expect(readFileSync(configFile(), 'utf8')).toBe(`role: node\napi:\n  url: https://control.example\nhost:\n  id: web-1\n  root: ${root()}\n  services: systemd\n`);
    expect(asked).toEqual(['systemctl daemon-reload', `systemctl is-enabled --quiet ${done.service}.service`, `systemctl enable --quiet ${done.service}.service`, `systemctl is-active --quiet ${done.service}.service`]);
    expect(done.next.map(({ command }) => command)).toEqual(['fairlead nodes enroll web-1', `systemctl start ${done.service}`]);
  });

  test.each(['systemd', 'openrc'] as const)('%s: asked twice, it changes nothing', async (manager) => {
    const { runner, asked } = machine();
    const first = await install(runner, undefined, manager);
    expect(first.steps.map(({ result }) => result)).toEqual(['done', 'done', 'done']);
    const before = [configFile(), join(directory, manager === 'systemd' ? `units/${first.service}.service` : `init.d/${first.service}`)].map((file) => statSync(file).mtimeMs);
    asked.splice(0, asked.length, ...asked.filter((line) => /enable |update add/.test(line)));
    const again = await install(runner, undefined, manager);
    expect(again.steps.map(({ result }) => result)).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(asked.slice(1).filter((line) => /daemon-reload|enable --quiet|add/.test(line.replace('is-enable', '')))).toEqual([]);
    expect([configFile(), join(directory, manager === 'systemd' ? `units/${first.service}.service` : `init.d/${first.service}`)].map((file) => statSync(file).mtimeMs)).toEqual(before);
  });

  test('OpenRC: an executable init script in the default runlevel', async () => {
    const { runner, asked } = machine();
    const { service, next } = await install(runner, undefined, 'openrc');
    expect(statSync(join(directory, 'init.d', service)).mode & 0o777).toBe(0o755);
    expect(asked).toContain(`rc-update add ${service} default`);
    expect(next.map(({ command }) => command)).toContain(`rc-service ${service} start`);
    expect(readFileSync(configFile(), 'utf8')).toContain('services: openrc');
  });

  test('what is in the file stays, comments too; a flag changes its own line; a mode that lets others in is mended', async () => {
    mkdirSync(join(root(), 'etc/fairlead'), { recursive: true });
    writeFileSync(configFile(), '# of this host\nhost:\n  id: web-1 # its name\n  services: embedded\napi: { url: "https://old.example" }\n');
    chmodSync(configFile(), 0o644);
    const { runner } = machine();
    await install(runner, ['--controller', 'https://new.example']);
    const text = readFileSync(configFile(), 'utf8');
    expect(text).toContain('# of this host\n');
    expect(text).toContain('id: web-1 # its name');
    expect(text).toContain('services: embedded');
    expect(text).toContain('https://new.example');
    expect(statSync(configFile()).mode & 0o777).toBe(0o600);
  });

  test('what would not start is refused with every problem, and nothing is written', async () => {
    const { runner, asked } = machine();
    await expect(install(runner, ['--router', 'apache'])).rejects.toMatchObject({ reason: { code: 'config_invalid', message: expect.stringMatching(/--router[\s\S]*api\.url[\s\S]*host\.id|--router[\s\S]*host\.id[\s\S]*api\.url/) } });
    expect(() => statSync(root())).toThrow('ENOENT');
    expect(asked).toEqual([]);
  });

  test('a unit of somebody else with that name is left alone', async () => {
    const { runner } = machine();
    const file = join(directory, 'units', `${ownServiceName({ role: 'node', root: root() })}.service`);
    mkdirSync(join(directory, 'units'));
    writeFileSync(file, '[Service]\n');
    await expect(install(runner)).rejects.toMatchObject({ reason: { code: 'service_name_taken' } });
    expect(readFileSync(file, 'utf8')).toBe('[Service]\n');
  });

  test('a machine that neither of the two runs: refused, with what to say', async () => {
    await expect(install(machine().runner, undefined, null)).rejects.toMatchObject({ reason: { code: 'init_system_unknown', hint: expect.stringContaining('--manager') } });
  });
});
