import { spawn, type ChildProcess } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { agentLayout, hostLayout } from '../../src/domain/host/layout.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import { switchOff } from '../../src/runtime/dev/power.ts';
import { startDockerDaemon, type DockerDaemon } from '../support/docker-daemon.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, freePorts } from '../support/host-root.ts';
import { describeWith, givenMachine, program, root } from '../support/requirement.ts';
import { exampleProduct as product, project, runCommand, type CommandResult } from '../support/stack.ts';
import { makeStandInImages } from '../support/stand-in-images.ts';

const limitMs = 240_000;
const waitMs = 180_000;

/** docker-compose.yml as it stands, on images that are made here: who uses it comes through nginx and its TLS, on loopback, and by no other way. */
describeWith([givenMachine, root, program('dockerd'), program('docker-compose'), program('setpriv'), program('nginx'), program('openssl')], 'docker-compose.yml', () => {
  let daemon: DockerDaemon;
  let dir: string;
  let host: string;
  let env: NodeJS.ProcessEnv;
  let api: string;
  let gateway: string;
  let agent: ChildProcess | undefined;

  const compose = (...args: string[]): Promise<CommandResult> => runCommand(['docker-compose', '--project-directory', dir, '--file', join(dir, 'docker-compose.yml'), ...args], env);
  const composed = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await compose(...args);
    if (exitCode === 0) return stdout;
    throw new Error(`docker-compose ${args.join(' ')} ended with ${exitCode}: ${stderr}\n${(await compose('logs', '--no-color', '--tail', '15')).stdout}`);
  };
  /** The real command, as somebody on another machine has it: an address, a key, and the certificate to trust. */
  const fairlead = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => {
    const { exitCode, stdout, stderr } = await runCommand([join(project, 'bin/fairlead'), ...args, '--json'], env);
    if (exitCode !== 0) throw new Error(`fairlead ${args.join(' ')} ended with ${exitCode}: ${stderr}${stdout}`);
    return JSON.parse(stdout) as T;
  };
  const publish = async (releaseId: string): Promise<void> => {
    const directory = join(dir, `release-${releaseId}`);
    await cp(join(project, 'examples/noderax-platform'), directory, { recursive: true });
    const output = join(dir, `${releaseId}.tar.zst`);
    await createBundle({ directory, releaseId: releaseId as ReleaseId, format: 'zst', output });
    await fairlead('release', 'publish', '--no-sign', output);
  };
  const connected = () => eventually('the host is connected', async () => (await fairlead<{ status: string }>('nodes', 'show', 'web-1')).status === 'connected', waitMs);
  const active = async (): Promise<string> => readlink(hostLayout(host, product).currentLink);

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fairlead-production-'));
    host = join(dir, 'host');
    for (const name of ['docker-compose.yml', 'deploy']) await cp(join(project, name), join(dir, name), { recursive: true, filter: (path) => !path.endsWith('deploy/secrets') });
    await symlink(join(project, 'bin'), join(dir, 'bin'));
    const names = ['FAIRLEAD_HTTP_PORT', 'FAIRLEAD_HTTPS_PORT', 'FAIRLEAD_GATEWAY_PORT', 'FAIRLEAD_TEMPORAL_PORT', 'FAIRLEAD_TEMPORAL_UI_PORT'] as const;
    const free = await freePorts(names.length);
    const ports = Object.fromEntries(names.map((name, at) => [name, free[at]])) as Record<(typeof names)[number], number>;
    api = `https://localhost:${ports.FAIRLEAD_HTTPS_PORT}`;
    gateway = `localhost:${ports.FAIRLEAD_GATEWAY_PORT}`;
    daemon = await startDockerDaemon({ own: true });
    env = {
      ...daemon.env,
      ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
      COMPOSE_PROJECT_NAME: 'fairlead-production-test',
      FAIRLEAD_API_URL: api,
      FAIRLEAD_API_KEY_FILE: join(dir, 'deploy/secrets/admin.key'),
      NODE_EXTRA_CA_CERTS: join(dir, 'deploy/secrets/tls/tls.crt'),
    };
    const made = await runCommand([join(dir, 'deploy/make-secrets.sh')], env);
    if (made.exitCode !== 0) throw new Error(made.stderr);
    await makeStandInImages(daemon);
  }, limitMs);

  afterAll(async () => {
    if (agent?.exitCode === null) {
      const ended = new Promise((resolve) => agent!.once('exit', resolve));
      agent.kill('SIGTERM');
      await ended;
    }
    if (host) await switchOff(host, 0);
    await daemon?.end();
    if (dir) await rm(dir, { recursive: true, force: true });
  }, limitMs);

  test('is clean to docker-compose, and limits every container in memory, processors, processes and log', async () => {
    const { exitCode, stderr, stdout } = await compose('config');
    expect([exitCode, stderr]).toEqual([0, '']);
    for (const service of ['nginx', 'fairlead-api', 'fairlead-control', 'fairlead-database', 'temporal', 'temporal-database', 'temporal-setup', 'temporal-ui']) expect(stdout).toContain(`  ${service}:\n`);
    for (const limit of [/mem_limit: /g, /cpus: /g, /pids_limit: /g, /max-size: /g]) expect(stdout.match(limit)).toHaveLength(8);
  }, 60_000);

  test('starts: every container becomes healthy, and the API is ready behind TLS; plain HTTP is sent there', async () => {
    await composed('up', '--detach', '--no-build');
    await eventually('every container is healthy', async () => {
      const states = (await daemon.docker('ps', '--all', '--format', '{{.Names}} {{.Status}}')).trim().split('\n').filter((line) => !line.includes('temporal-setup'));
      return states.length === 7 && states.every((line) => line.includes('(healthy)'));
    }, waitMs);
    const ready = await runCommand([process.execPath, '-e', `fetch('${api}/health/ready').then(async (answer) => console.log(answer.status, await answer.text()))`], env);
    expect(ready.stdout).toMatch(/^200 .*"ready":true/);
    const plain = await fetch(`http://127.0.0.1:${env['FAIRLEAD_HTTP_PORT']}/health`, { redirect: 'manual' });
    expect([plain.status, plain.headers.get('location')]).toEqual([308, 'https://127.0.0.1/health']);
  }, limitMs);

  /** Guarantee 5. */
  test('secrets stand in files: no environment of a container and no command line holds one', async () => {
    const inspected = await daemon.docker('inspect', ...(await daemon.docker('ps', '--all', '--quiet')).trim().split('\n'));
    const secrets = join(dir, 'deploy/secrets');
    for (const name of ['admin.key', 'settings.keys', 'audit.key', 'fairlead-database.password', 'temporal-database.password']) expect(inspected.includes((await readFile(join(secrets, name), 'utf8')).trim())).toBe(false);
  }, 60_000);

  test('a host outside enrols and gets its updates through nginx and the gateway', async () => {
    await publish('p1');
    const { token } = await fairlead<{ token: string }>('nodes', 'enroll', 'web-1');
    await mkdir(host, { recursive: true });
    await fairlead('host', 'enroll', '--controller', api, '--token', token, '--root', host);
    expect((await readFile(agentLayout(host).agentKeyFile, 'utf8')).trim()).toMatch(/^fl_agent_/);
    const settings = { '--role': 'node', '--host-id': 'web-1', '--root': host, '--controller': api, '--gateway-address': gateway, '--gateway-ca-file': env['NODE_EXTRA_CA_CERTS']!, '--ports': 'free', '--router': 'embedded', '--health-listen': `127.0.0.1:${await freePort()}` };
    const log = join(dir, 'agent.log');
    await writeFile(log, '');
    agent = spawn('/bin/sh', ['-c', 'log=$1; shift; exec "$@" >>"$log" 2>&1', 'sh', log, join(project, 'bin/fairlead'), 'serve', ...Object.entries(settings).flat()], { stdio: 'ignore', env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, NODE_EXTRA_CA_CERTS: env['NODE_EXTRA_CA_CERTS'] } });
    await connected().catch(async (error: Error) => Promise.reject(new Error(`${error.message}\n${await readFile(log, 'utf8')}`)));
    expect(await fairlead('update', 'apply', 'p1', '--host', 'web-1', '--product', product, '--phase', 'installed', '--bake-seconds', '0')).toMatchObject({ outcome: 'succeeded', toReleaseId: 'p1' });
    expect(await active()).toBe('releases/p1');
  }, limitMs);

  test('who asks is known by its own address, and not by that of nginx: who guesses keys is held back, and nobody else', async () => {
    const guess = (url: string, times: number): string => `(async () => { for (let time = 0; time < ${times}; time += 1) console.log((await fetch('${url}/api/runs', { headers: { authorization: 'Bearer guess' + time } })).status); })()`;
    const outside = await runCommand([process.execPath, '-e', guess(api, 30)], env);
    // One guess is let through again every other second, perhaps the last.
    const answers = outside.stdout.trim().split('\n');
    expect([answers[0], new Set(answers)]).toEqual(['401', new Set(['401', '429'])]);
    const nginx = (await composed('ps', '--quiet', 'nginx')).trim();
    expect((await daemon.docker('exec', '--env', 'NODE_TLS_REJECT_UNAUTHORIZED=0', nginx, 'node', '-e', guess('https://127.0.0.1', 1))).trim()).toBe('401');
    const lines = (await daemon.docker('logs', nginx)).trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(expect.objectContaining({ name: 'nginx', method: 'POST', path: '/api/releases', status: 201, requestId: expect.stringMatching(/^req-/) }));
  }, 60_000);

  test('API and control are restarted in the middle of an update: it ends as it would have, and nothing is lost', async () => {
    await publish('p2');
    const before = await fairlead<{ runs: { runId: string }[] }>('runs', 'list');
    const { runId } = await fairlead<{ runId: string }>('update', 'apply', 'p2', '--host', 'web-1', '--product', product, '--bake-seconds', '1', '--detach');
    await composed('restart', 'fairlead-api', 'fairlead-control');
    const ended = await eventually('the run has ended', async () => (await fairlead<{ run: { outcome: string | null } }>('runs', 'show', runId).catch(() => null))?.run.outcome ?? null, waitMs);
    expect(ended).toBe('succeeded');
    expect(await active()).toBe('releases/p2');
    const after = (await fairlead<{ runs: { runId: string }[] }>('runs', 'list')).runs.map((run) => run.runId);
    expect(after).toEqual(expect.arrayContaining([...before.runs.map((run) => run.runId), runId]));
    expect((await fairlead<{ releases: { releaseId: string }[] }>('release', 'list')).releases.map(({ releaseId }) => releaseId)).toEqual(['p2', 'p1']);
    await connected();
    // The API signed a checkpoint when it was stopped; who verifies believes the public key alone.
    expect(await fairlead('audit', 'verify', '--public-key', join(dir, 'deploy/secrets/audit.pub'))).toMatchObject({ ok: true, checkpoints: expect.any(Number) });
    expect((await fairlead<{ checkpoints: unknown[] }>('audit', 'checkpoints')).checkpoints).toHaveLength(1);
  }, limitMs);
});
