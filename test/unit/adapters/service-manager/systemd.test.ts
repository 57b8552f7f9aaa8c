import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as commands from '../../../../src/adapters/service-manager/systemd/commands.ts';
import { createSystemdServiceManager } from '../../../../src/adapters/service-manager/systemd/index.ts';
import { hasRunSince, lastExitOf, parseInvocation, parseShow, statusOf } from '../../../../src/adapters/service-manager/systemd/parse.ts';
import { quoteWord, renderDropIn, renderTarget, renderTemplate, unitFiles, unitNames, withStopSettings } from '../../../../src/adapters/service-manager/systemd/units.ts';
import { ownProduct, type InstanceName, type ProductName, type ReleaseId, type ServiceName } from '../../../../src/domain/ids.ts';
import type { CommandResult, CommandRunner } from '../../../../src/ports/command-runner.ts';
import type { InstanceSpec } from '../../../../src/ports/service-manager.ts';

const spec: InstanceSpec = {
  product: 'powernode' as ProductName,
  service: 'worker-web' as ServiceName,
  instance: 'worker-web-ai-heavy' as InstanceName,
  releaseId: 'r2' as ReleaseId,
  releaseDir: '/opt/powernode/releases/r2',
  command: ['node', 'web.mjs', '--port', '$PORT'],
  configFile: '/etc/powernode/worker-web-ai-heavy.conf',
  env: { PORT: '4567', GREETING: 'a "b" 100% $c', FAIRLEAD_RELEASE_ID: 'forged' },
  logFile: '/var/log/powernode/worker-web-ai-heavy.log',
  stopSignal: 'SIGINT',
  stopSeconds: 28,
  reloadSignal: 'SIGUSR2',
};

describe('systemd: names', () => {
  test('on a real host they are those of the product, its services and their instances', () => {
    expect(unitNames('/', spec)).toEqual({ target: 'powernode.target', template: 'powernode-worker-web@.service', unit: 'powernode-worker-web@ai-heavy.service' });
    expect(unitFiles('/etc/systemd/system', unitNames('/', spec)).dropIn).toBe('/etc/systemd/system/powernode-worker-web@ai-heavy.service.d/50-fairlead.conf');
  });

  test('hosts in directories of their own differ in every name, always in the same way', () => {
    const [one, other] = [unitNames('/srv/one', spec), unitNames('/srv/other', spec)];
    for (const key of ['target', 'template', 'unit'] as const) {
      expect(one[key]).toMatch(/^h[0-9a-f]{8}-powernode/);
      expect(one[key]).not.toBe(other[key]);
    }
    expect(unitNames('/srv/one', spec)).toEqual(one);
  });

  test('a root that systemd would take for a pattern is refused', () => {
    expect(() => createSystemdServiceManager({ root: '/srv/a*', commands: answering([]).runner })).toThrow(expect.objectContaining({ reason: expect.objectContaining({ code: 'host_root_unusable' }) }));
  });
});

describe('systemd: units', () => {
  test('the template, whole', () => {
    expect(renderTemplate('/', spec, unitNames('/', spec))).toBe(`# fairlead: powernode/worker-web of /
# Written by Fairlead; each instance has its command and release in a drop-in. Yours goes into another one: systemctl edit.
[Unit]
Description=powernode worker-web (%i)
PartOf=powernode.target
After=network-online.target
StartLimitIntervalSec=60s
StartLimitBurst=5

[Service]
Type=exec
EnvironmentFile=-/etc/powernode/worker-web-%i.conf
StandardOutput=append:/var/log/powernode/worker-web-%i.log
StandardError=inherit
Restart=on-failure
RestartSec=2s
SuccessExitStatus=143
KillMode=mixed
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ReadOnlyPaths=-/opt/powernode/releases
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=powernode.target
`);
  });

  test("Fairlead's own agent is not shut in, ends alone, and comes back whatever ended it; its API is an instance like others", () => {
    const of = (service: string) => ({ ...spec, product: ownProduct, service: service as ServiceName });
    const agent = renderTemplate('/', of('agent'), unitNames('/', of('agent')));
    expect(agent.split('\n')).toEqual(expect.arrayContaining(['KillMode=process', 'Restart=always', 'StartLimitIntervalSec=0']));
    expect(agent).not.toMatch(/Protect|ReadOnlyPaths|PrivateTmp|NoNewPrivileges|Restrict/);
    expect(renderTemplate('/', of('api'), unitNames('/', of('api')))).toContain('ProtectSystem=full');
  });

  test('the target, whole', () => {
    expect(renderTarget('/', spec)).toBe(`# fairlead: powernode of /
# Written by Fairlead. Yours goes into a drop-in beside it: systemctl edit.
[Unit]
Description=powernode: all instances on this host

[Install]
WantedBy=multi-user.target
`);
  });

  test('the drop-in, whole: it says who the instance is, whatever the manifest claims', () => {
    expect(renderDropIn('/', spec, ['/usr/bin/node', ...spec.command.slice(1)], commands.instanceEnvironment('/', spec, '/usr/bin:/bin'))).toBe(`# fairlead: powernode/worker-web of /
# worker-web-ai-heavy on release r2. Written by Fairlead at each start that it asks for.
[Service]
WorkingDirectory=/opt/powernode/releases/r2
Environment=PATH=/usr/bin:/bin
Environment=HOME=/var/lib/powernode
Environment=LANG=C.UTF-8
Environment=PORT=4567
Environment="GREETING=a \\"b\\" 100%% $c"
Environment=FAIRLEAD_RELEASE_ID=r2
Environment=FAIRLEAD_INSTANCE=powernode/worker-web-ai-heavy
Environment=FAIRLEAD_ROOT=/
ExecStartPre=-+/bin/sh -c "umask 077; printf \\"%%s %%s\\\\n\\" \\"$$INVOCATION_ID\\" \\"$$1\\" >\\"$$2.new\\" && mv -f \\"$$2.new\\" \\"$$2\\"" fairlead-note r2 /var/lib/powernode/fairlead/run/worker-web-ai-heavy.invocation
ExecStart=/usr/bin/node web.mjs --port "$$PORT"
KillSignal=SIGINT
TimeoutStopSec=28000ms
`);
  });

  test('a host below /tmp keeps its /tmp, one below /usr can be written, and a percent sign in a path is no specifier', () => {
    expect(renderTemplate('/tmp/h', spec, unitNames('/tmp/h', spec))).not.toContain('PrivateTmp');
    expect(renderTemplate('/tmpfiles', spec, unitNames('/tmpfiles', spec))).toContain('PrivateTmp=yes');
    expect(renderTemplate('/usr/h', spec, unitNames('/usr/h', spec))).toContain('\nReadWritePaths=/usr/h\n');
    expect(renderTemplate('/srv/100%i', spec, unitNames('/srv/100%i', spec))).toContain('\nEnvironmentFile=-/srv/100%%i/etc/powernode/worker-web-%i.conf\n');
  });

  test.each([
    ['plain', 'plain'],
    ['', '""'],
    ["it's", `"it's"`],
    ['a "b" \\', '"a \\"b\\" \\\\"'],
    ['100%', '100%%'],
    ['a\nb\t\u007f', '"a\\x0ab\\x09\\x7f"'],
    [';', '";"'],
  ])('%j is written %j', (text, written) => expect(quoteWord(text)).toBe(written));

  test('another way to stop replaces the old one and nothing else; the same one changes nothing', () => {
    const dropIn = renderDropIn('/', spec, ['/bin/x'], { A: '1' });
    const next = withStopSettings(dropIn, { stopSignal: 'SIGQUIT', stopSeconds: 0 });
    expect(next).toBe(dropIn.replace('KillSignal=SIGINT', 'KillSignal=SIGQUIT').replace('28000ms', '1ms'));
    expect(withStopSettings(dropIn, spec)).toBeNull();
  });
});

describe('systemd: command lines', () => {
  test.each([
    ['start', commands.startUnit('u.service'), 'systemctl start -- u.service'],
    ['stop', commands.stopUnit('u.service'), 'systemctl stop -- u.service'],
    ['start of a target alone', commands.startTarget('p.target'), 'systemctl start --job-mode=ignore-dependencies -- p.target'],
    ['reset', commands.resetFailed('u.service'), 'systemctl reset-failed -- u.service'],
    ['reload', commands.killMain('u.service', 'SIGUSR2'), 'systemctl kill --kill-who=main --signal=SIGUSR2 -- u.service'],
    ['kill', commands.killAll('u.service'), 'systemctl kill --kill-who=all --signal=SIGKILL -- u.service'],
    ['question', commands.show('a.service', 'b.target'), 'systemctl show --property=Id,LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,ExecMainStartTimestampMonotonic,MainPID,NRestarts,InvocationID,NeedDaemonReload -- a.service b.target'],
  ])('%s', (_what, argv, line) => expect(argv.join(' ')).toBe(line));

  test('recovery lines are sh, and write what a start would write', () => {
    const directory = mkdtempSync(join(tmpdir(), 'fairlead-systemd-'));
    try {
      const root = join(directory, "it's a root");
      writeFileSync(join(directory, 'systemctl'), '#!/bin/sh\necho "systemctl $*"\n', { mode: 0o755 });
      const lines = commands.recoveryLines(root, join(directory, 'units'), spec, ['/usr/bin/node', 'web.mjs'], '/bin');
      const { unit, target } = unitNames(root, spec);
      const said = execFileSync('/bin/sh', ['-c', ['set -eu', ...lines].join('\n')], { encoding: 'utf8', env: { PATH: `${directory}:/usr/bin:/bin` } });
      expect(said.split('\n')).toEqual(['systemctl daemon-reload', `systemctl enable --quiet ${target} ${unit}`, `systemctl reset-failed ${unit}`, `systemctl restart ${unit}`, '']);
      const written = execFileSync('/bin/cat', [unitFiles(join(directory, 'units'), unitNames(root, spec)).dropIn], { encoding: 'utf8' });
      expect(written).toBe(renderDropIn(root, spec, ['/usr/bin/node', 'web.mjs'], commands.instanceEnvironment(root, spec, '/bin')));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('stop lines', () => {
    expect(commands.stopLines('/', spec)).toEqual([
      "systemctl disable --quiet 'powernode-worker-web@ai-heavy.service' 2>/dev/null || true",
      "systemctl stop 'powernode-worker-web@ai-heavy.service' 2>/dev/null || ! systemctl is-active --quiet 'powernode-worker-web@ai-heavy.service'",
      "systemctl reset-failed 'powernode-worker-web@ai-heavy.service' 2>/dev/null || true",
    ]);
  });
});

const shown = (facts: Record<string, string | number> = {}): string =>
  Object.entries({ Id: 'u.service', LoadState: 'loaded', ActiveState: 'active', SubState: 'running', Result: 'success', ExecMainCode: 0, ExecMainStatus: 0, MainPID: 42, NRestarts: 0, InvocationID: 'ab'.repeat(16), NeedDaemonReload: 'no', ...facts })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');

describe('systemd: answers', () => {
  test('a running unit', () => {
    expect(parseShow(shown())).toEqual([
      { loadState: 'loaded', activeState: 'active', subState: 'running', result: 'success', mainCode: 0, mainStatus: 0, mainStartedAt: 0, mainPid: 42, restarts: 0, invocationId: 'ab'.repeat(16), needsReload: false },
    ]);
  });

  test('two units, of which the target has no process', () => {
    const facts = parseShow(`${shown({ MainPID: 0, InvocationID: '', NeedDaemonReload: 'yes' })}\nId=p.target\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n`);
    expect(facts).toMatchObject([{ mainPid: null, invocationId: null, needsReload: true }, { loadState: 'not-found', activeState: 'inactive', mainPid: null }]);
  });

  test.each([
    ['nothing', ''],
    ['an error', 'System has not been booted with systemd as init system (PID 1). Can\'t operate.\n'],
    ['no state', shown().replace(/^ActiveState=.*\n/m, '')],
    ['a number that is none', shown({ MainPID: '[not set]' })],
    ['half of the second unit', `${shown()}\nId=p.target\n`],
  ])('%s is no answer', (_what, text) => expect(parseShow(text)).toBeNull());

  test.each([
    ['active', 'running', 'active'],
    ['reloading', 'reload', 'active'],
    ['activating', 'start-pre', 'starting'],
    ['activating', 'start', 'starting'],
    ['activating', 'auto-restart', 'failed'],
    ['activating', 'auto-restart-queued', 'failed'],
    ['deactivating', 'stop-sigterm', 'draining'],
    ['inactive', 'dead', 'inactive'],
    ['failed', 'failed', 'failed'],
    ['maintenance', 'cleaning', 'unknown'],
    ['something of a later version', '', 'unknown'],
  ])('%s (%s) means %s', (activeState, subState, status) => expect(statusOf({ activeState, subState })).toBe(status));

  test.each([
    [1, 7, null, 'exit 7'],
    [1, 0, null, 'exit 0'],
    [2, 9, null, 'SIGKILL'],
    [3, 11, null, 'SIGSEGV'],
    [2, 64, null, 'signal 64'],
    [0, 0, null, null],
    [1, 7, 42, null],
  ])('code %d with status %d and process %j: %j', (mainCode, mainStatus, mainPid, exit) => expect(lastExitOf({ mainCode, mainStatus, mainPid })).toBe(exit));

  test.each([
    ['it ended by itself before systemd said that it runs', { mainStartedAt: 2, mainCode: 1, mainStatus: 1, mainPid: null }, true],
    ['it was killed at once', { mainStartedAt: 2, mainCode: 2, mainStatus: 9, mainPid: null }, true],
    ['it runs after all', { mainStartedAt: 2, mainCode: 0, mainStatus: 0, mainPid: 7 }, true],
    ['systemd could not execute it', { mainStartedAt: 2, mainCode: 1, mainStatus: 203, mainPid: null }, false],
    ['what ended is the process before this start', { mainStartedAt: 1, mainCode: 1, mainStatus: 1, mainPid: null }, false],
  ])('whether a start that systemd calls failed ran the program: %s', (_what, facts, ran) => expect(hasRunSince({ mainStartedAt: 1 }, facts)).toBe(ran));

  test.each([
    [`${'ab'.repeat(16)} r2\n`, 'r2'],
    [`${'cd'.repeat(16)} r2\n`, null],
    [`${'ab'.repeat(16)} r2`, null],
    ['', null],
    [null, null],
  ])('note %j of invocation abab…: %j', (text, releaseId) => expect(parseInvocation(text, 'ab'.repeat(16))).toBe(releaseId));
});

/** A runner that plays a fixed list of answers, by the verb, and keeps what it was asked. */
function answering(answers: readonly (readonly [verb: string, answer: Partial<CommandResult>])[]) {
  const left = [...answers];
  const asked: string[] = [];
  const runner: CommandRunner = {
    async run(argv) {
      asked.push(argv.join(' '));
      const at = left.findIndex(([verb]) => verb === argv[1]);
      const answer = at === -1 ? {} : left.splice(at, 1)[0]![1];
      return { exitCode: 0, signal: null, timedOut: false, stdout: '', stderr: '', summary: argv.join(' '), ...answer };
    },
  };
  return { runner, asked };
}

describe('systemd: what cannot be asked', () => {
  test.each([
    ['systemctl does not exist', { exitCode: null }],
    ['it did not answer in time', { exitCode: null, timedOut: true, stdout: shown() }],
    ['it was refused', { exitCode: 1, stderr: 'Failed to get properties: Access denied' }],
    ['its answer cannot be read', { stdout: 'Id=u.service\n' }],
    ['it answered for another number of units', { stdout: `${shown()}\n${shown()}` }],
  ])('%s: unknown, never inactive', async (_why, answer) => {
    const manager = createSystemdServiceManager({ root: '/nowhere', commands: answering([['show', answer]]).runner });
    expect(await manager.status(spec)).toEqual({ status: 'unknown', releaseId: null, pid: null, lastExit: null });
  });

  test('start, stop and reload say so, and may be tried again', async () => {
    const never = () => createSystemdServiceManager({ root: '/nowhere', commands: answering(Array.from({ length: 3 }, () => ['show', { exitCode: 1 }] as const)).runner });
    for (const attempt of [never().start(spec), never().stop(spec), never().reload(spec, 'SIGUSR2')]) {
      await expect(attempt).rejects.toMatchObject({ reason: { class: 'host', code: 'service_manager_unreachable' }, retryable: true });
    }
  });

  test('a process that ended between the question and the signal: not_running', async () => {
    const { runner, asked } = answering([['show', { stdout: shown() }], ['kill', { exitCode: 1 }], ['show', { stdout: shown({ ActiveState: 'failed', MainPID: 0 }) }]]);
    expect(await createSystemdServiceManager({ root: '/nowhere', commands: runner }).reload(spec, 'SIGUSR2')).toBe('not_running');
    expect(asked[1]).toMatch(/^systemctl kill --kill-who=main --signal=SIGUSR2 -- h[0-9a-f]{8}-powernode-worker-web@ai-heavy\.service$/);
  });

  test('another release that systemd has started anew after a crash: refused, and it may be tried again; one that just runs: not', async () => {
    for (const restarts of [0, 2]) {
      const commandsRun = answering([['show', { stdout: `${shown({ NRestarts: restarts })}\nId=p.target\nLoadState=loaded\nActiveState=active\n` }]]);
      await expect(createSystemdServiceManager({ root: '/nowhere', commands: commandsRun.runner }).start(spec)).rejects.toMatchObject({ reason: { code: 'instance_running' }, retryable: restarts > 0 });
      expect(commandsRun.asked).toHaveLength(1);
    }
  });
});
