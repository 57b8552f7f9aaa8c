import { recoveryLines, stopLines, upCommand } from '../../../../src/adapters/service-manager/compose/commands.ts';
import { composeFile, composeNames, imageIn, releaseImage } from '../../../../src/adapters/service-manager/compose/compose-file.ts';
import { locateCompose } from '../../../../src/adapters/service-manager/compose/locate.ts';
import { exitOf, mergeLogs, parseComposeVersion, parseInspect, parseLoaded, saysNoSuchContainer, saysProgramMissing } from '../../../../src/adapters/service-manager/compose/parse.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../../../../src/domain/ids.ts';
import type { CommandResult } from '../../../../src/ports/command-runner.ts';
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
  env: { PORT: '1', PRICE: '5$', FAIRLEAD_RELEASE_ID: 'forged' },
  logFile: '/var/log/shop/api-a.log',
  stopSignal: 'SIGTERM',
  stopSeconds: 2.5,
};

describe('compose: the file of an instance', () => {
  test('whole: texts quoted for YAML 1.1, $ doubled, the conf file by variables, and nothing wins over what the manager says', () => {
    const { text, variables } = composeFile('/', spec, 'registry.local/base@sha256:1', ['node', 'api.mjs', '$x'], { PORT: '2', SECRET: "it's $x", FAIRLEAD_ROOT: 'forged' });
    expect(variables).toEqual({ FAIRLEAD_VALUE_0: '2', FAIRLEAD_VALUE_1: "it's $x", FAIRLEAD_VALUE_2: 'forged' });
    expect(text).toBe(`# Written by Fairlead at each start of api-a. What is changed here is lost; the instance's settings are in /etc/shop/api-a.conf.
services:
  api-a:
    container_name: "fairlead-shop-api-a"
    image: "registry.local/base@sha256:1"
    init: true
    network_mode: "host"
    restart: "no"
    entrypoint:
      - "node"
      - "api.mjs"
      - "$$x"
    working_dir: "/opt/shop/releases/r1"
    environment:
      HOME: "/var/lib/shop"
      LANG: "C.UTF-8"
      PORT: "\${FAIRLEAD_VALUE_0?the agent gives it, from the conf file}"
      PRICE: "5$$"
      FAIRLEAD_RELEASE_ID: "r1"
      SECRET: "\${FAIRLEAD_VALUE_1?the agent gives it, from the conf file}"
      FAIRLEAD_ROOT: "/"
      FAIRLEAD_INSTANCE: "shop/api-a"
    volumes:
      - type: "bind"
        source: "/opt/shop/releases/r1"
        target: "/opt/shop/releases/r1"
        read_only: true
      - type: "bind"
        source: "/etc/shop"
        target: "/etc/shop"
        read_only: true
      - type: "bind"
        source: "/var/lib/shop"
        target: "/var/lib/shop"
        read_only: false
    stop_signal: "SIGTERM"
    stop_grace_period: "3s"
    labels:
      fairlead.root: "/"
      fairlead.product: "shop"
      fairlead.instance: "api-a"
      fairlead.release: "r1"
    logging:
      driver: "json-file"
      options:
        max-size: "16m"
        max-file: "2"
`);
    expect(imageIn(text)).toBe('registry.local/base@sha256:1');
  });

  test('environment names that YAML 1.1 takes for something else stay names', () => {
    const { text } = composeFile('/', { ...spec, env: { NO: '1', Y: '2' } }, 'i', ['a'], {});
    expect(text).toContain('"NO": "1"');
    expect(text).toContain('"Y": "2"');
  });

  test('names: plain on a real host, with a hash where roots or product names could meet', () => {
    expect(composeNames('/', spec)).toEqual({
      project: 'fairlead-shop',
      container: 'fairlead-shop-api-a',
      composeFile: '/var/lib/shop/fairlead/compose/api-a.yml',
      stopMark: '/var/lib/shop/fairlead/compose/api-a.stopping',
    });
    const names = [
      composeNames('/h1', spec).project,
      composeNames('/h2', spec).project,
      composeNames('/', { ...spec, product: 'my.shop' as ProductName }).project,
      composeNames('/', { ...spec, product: 'my-shop' as ProductName }).project,
    ];
    expect(new Set(names).size).toBe(4);
    for (const name of names) expect(name).toMatch(/^fairlead-[a-z0-9_-]+$/);
  });

  test('the image of a release: its id as the tag, with a hash where a tag cannot hold it', () => {
    expect(releaseImage('/', spec)).toBe('fairlead-shop:r1');
    const plus = releaseImage('/', { ...spec, releaseId: '1.0+5' as ReleaseId });
    expect(plus).toMatch(/^fairlead-shop:1\.0-5-[0-9a-f]{8}$/);
    expect(plus).not.toBe(releaseImage('/', { ...spec, releaseId: '1.0-5' as ReleaseId }));
  });
});

describe('compose: command lines', () => {
  test.each([[['docker', 'compose']], [['docker-compose']]])('up with %j', (compose) => {
    expect(upCommand(compose, '/', spec).join(' ')).toBe(`${compose.join(' ')} --ansi never --project-name fairlead-shop --file /var/lib/shop/fairlead/compose/api-a.yml up --detach --no-deps api-a`);
  });

  test('stop lines name the daemon, grant the whole time, and keep the log', () => {
    expect(stopLines('/', 'unix:///run/d.sock', spec, spec.logFile)).toEqual([
      'fairlead_docker=$(command -v docker)',
      "fairlead_docker_host='unix:///run/d.sock'",
      `if "$fairlead_docker" -H "$fairlead_docker_host" container inspect 'fairlead-shop-api-a' >/dev/null 2>&1; then`,
      `  "$fairlead_docker" -H "$fairlead_docker_host" stop --time 3 'fairlead-shop-api-a' >/dev/null`,
      `  mkdir -p '/var/log/shop' && "$fairlead_docker" -H "$fairlead_docker_host" logs 'fairlead-shop-api-a' >>'/var/log/shop/api-a.log' 2>&1 || true`,
      `  "$fairlead_docker" -H "$fairlead_docker_host" rm --force --volumes 'fairlead-shop-api-a' >/dev/null`,
      'fi',
    ]);
    expect(stopLines('/', null, spec, spec.logFile)[1]).toBe('fairlead_docker_host=${DOCKER_HOST:-unix:///var/run/docker.sock}');
  });

  test('recovery lines run the container with what the compose file would say, and with no value of the conf file', () => {
    const lines = recoveryLines('/', null, spec, 'base:1', ['node', 'api.mjs', 'a b']);
    expect(lines.at(-2)).toBe(
      '  exec "$fairlead_docker" -H "$fairlead_docker_host" run --detach --name fairlead-shop-api-a --init --network host --restart unless-stopped --stop-signal SIGTERM --stop-timeout 3 ' +
        '--workdir /opt/shop/releases/r1 --log-driver json-file --log-opt max-size=16m --log-opt max-file=2 ' +
        '--label fairlead.root=/ --label fairlead.product=shop --label fairlead.instance=api-a --label fairlead.release=r1 ' +
        '--mount type=bind,source=/opt/shop/releases/r1,target=/opt/shop/releases/r1,readonly --mount type=bind,source=/etc/shop,target=/etc/shop,readonly --mount type=bind,source=/var/lib/shop,target=/var/lib/shop ' +
        "--env HOME --env LANG --env PORT --env PRICE --env FAIRLEAD_RELEASE_ID --env FAIRLEAD_INSTANCE --env FAIRLEAD_ROOT \"$@\" --entrypoint node base:1 api.mjs 'a b' >/dev/null",
    );
    // What the manager says is exported last: after the declared environment and after the conf file.
    const order = ["  export FAIRLEAD_RELEASE_ID='forged'", "    set -a; . '/etc/shop/api-a.conf'; set +a", "  export FAIRLEAD_RELEASE_ID='r1'"].map((line) => lines.indexOf(line));
    expect(order).toEqual([...order].sort((one, other) => one - other));
    expect(order).not.toContain(-1);
  });
});

/** As Docker 20.10.24 and 28.2.2 print it, cut to the fields around those that are read. */
const inspect = (state: object, more: object = {}): string =>
  JSON.stringify([
    {
      Id: '1ee8ec37d3f0aa4d0fd2f549c23e3abcc119d5594b12de19a343df83a56cb843',
      Created: '2026-11-21T12:46:19.671424503Z',
      State: { Status: 'running', Running: true, Paused: false, Restarting: false, OOMKilled: false, Dead: false, Pid: 4711, ExitCode: 0, Error: '', StartedAt: '2026-11-21T12:46:19.809147451Z', FinishedAt: '0001-01-01T00:00:00Z', ...state },
      RestartCount: 0,
      HostConfig: { NetworkMode: 'host', RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } },
      Config: { Image: 'base:1', Labels: { 'com.docker.compose.service': 'api-a', 'fairlead.release': 'r1' } },
      ...more,
    },
  ]);

describe('compose: what Docker says', () => {
  test('a container that runs', () => {
    expect(parseInspect(inspect({}))).toEqual({
      id: '1ee8ec37d3f0aa4d0fd2f549c23e3abcc119d5594b12de19a343df83a56cb843',
      state: 'running',
      releaseId: 'r1',
      pid: 4711,
      exitCode: 0,
      oomKilled: false,
      error: '',
      startedAtMs: Date.parse('2026-11-21T12:46:19.809Z'),
      restartPolicy: 'no',
    });
  });

  test('a container that never started, one in a state of a later Docker, one without labels', () => {
    expect(parseInspect(inspect({ Status: 'created', Pid: 0, StartedAt: '0001-01-01T00:00:00Z' }))).toMatchObject({ state: 'created', pid: null, startedAtMs: null });
    expect(parseInspect(inspect({ Status: 'hibernating' }))?.state).toBe('unknown');
    expect(parseInspect(inspect({}, { Config: { Labels: null } }))?.releaseId).toBeNull();
  });

  test.each(['', '[]', '{}', 'Error', '[{"Id":"1"}]'])('%j describes no container', (text) => expect(parseInspect(text)).toBeNull());

  test.each([
    [{ exitCode: 7, oomKilled: false }, 'exit 7'],
    [{ exitCode: 137, oomKilled: false }, 'SIGKILL'],
    [{ exitCode: 139, oomKilled: false }, 'SIGSEGV'],
    [{ exitCode: 137, oomKilled: true }, 'SIGKILL (out of memory)'],
    [{ exitCode: 255, oomKilled: false }, 'exit 255'],
    [{ exitCode: 128, oomKilled: false }, 'exit 128'],
  ])('%j is %s', (end, expected) => expect(exitOf(end)).toBe(expected));

  test.each([
    ['Error: No such container: fairlead-shop-api-a', true],
    ['Error response from daemon: No such container: fairlead-shop-api-a', true],
    ['Error: No such object: fairlead-shop-api-a', true],
    ['Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?', false],
    ['Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied', false],
    ['Error response from daemon: client version 1.50 is too new. Maximum supported API version is 1.41', false],
    ['', false],
  ])('%j says that there is no such container: %s', (stderr, expected) => expect(saysNoSuchContainer(stderr)).toBe(expected));

  test('standard output and standard error are put in the order in which they came, blank lines and all', () => {
    const stdout = '2026-11-21T12:46:19.8Z one\n2026-11-21T12:46:19.800000002Z three\n2026-11-21T12:46:20Z \n';
    const stderr = '2026-11-21T12:46:19.800000001Z two\n2026-11-21T12:46:20.5Z five\n';
    expect(mergeLogs(stdout, stderr, 10)).toEqual(['one', 'two', 'three', '', 'five']);
    expect(mergeLogs(stdout, stderr, 2)).toEqual(['', 'five']);
    expect(mergeLogs('', '', 2)).toEqual([]);
  });

  test('a program that docker-init could not run is told from one that ended with 127 itself', () => {
    const log = ['[FATAL tini (7)] exec no-such-program failed: No such file or directory'];
    expect(saysProgramMissing(127, log)).toBe(true);
    expect(saysProgramMissing(126, ['[FATAL tini (7)] exec ./api failed: Permission denied'])).toBe(true);
    expect(saysProgramMissing(127, ['sh: 1: no-such-program: not found'])).toBe(false);
    expect(saysProgramMissing(1, log)).toBe(false);
  });

  test.each([
    ['Loaded image: t:1\n', 't:1'],
    ['Loaded image ID: sha256:c56f52dd\n', 'sha256:c56f52dd'],
    ['', null],
  ])('docker load: %j made %s', (stdout, expected) => expect(parseLoaded(stdout)).toBe(expected));

  test.each([
    ['Docker Compose version v2.40.3\n', '2.40.3'],
    ['Docker Compose version 2.40.3+ds1-0ubuntu1\n', '2.40.3+ds1-0ubuntu1'],
    ['docker-compose version 1.29.2, build unknown\ndocker-py version: 5.0.3\n', '1.29.2'],
    ["docker: 'compose' is not a docker command.\nSee 'docker --help'\n", null],
    ['Docker version 20.10.24+dfsg1, build 297e128\n', null],
  ])('%j is Compose %s', (stdout, expected) => expect(parseComposeVersion(stdout)).toBe(expected));
});

describe('compose: which one is installed', () => {
  const answering = (answers: Readonly<Record<string, string>>) => ({
    run: async (argv: readonly string[]): Promise<CommandResult> => {
      const stdout = answers[argv.join(' ')];
      return { exitCode: stdout === undefined ? 1 : 0, signal: null, timedOut: false, stdout: stdout ?? '', stderr: '', summary: '' };
    },
  });
  const plugin = { 'docker compose version': 'Docker Compose version v2.29.1\n' };
  const program = { 'docker-compose version': 'docker-compose version 1.29.2, build unknown\n' };

  test.each([
    ['the plugin wins', { ...plugin, ...program }, { command: ['docker', 'compose'], version: '2.29.1' }],
    ['the program, where the client knows no such command', program, { command: ['docker-compose'], version: '1.29.2' }],
    ['the program, where the client prints its own version instead', { 'docker compose version': 'Docker version 20.10.24\n', ...program }, { command: ['docker-compose'], version: '1.29.2' }],
    ['neither', {}, null],
  ])('%s', async (_name, answers, expected) => expect(await locateCompose(answering(answers))).toEqual(expected));
});
