import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { composeNames, releaseImage } from '../../src/adapters/service-manager/compose/compose-file.ts';
import { createComposeServiceManager, type ComposeOptions } from '../../src/adapters/service-manager/compose/index.ts';
import type { ReleaseId } from '../../src/domain/ids.ts';
import { startDockerDaemon, type DockerDaemon } from '../support/docker-daemon.ts';
import { composeMachine, makeNodeImage, standInMachine } from '../support/compose-machine.ts';
import { eventually } from '../support/eventually.ts';
import { createHostRoot } from '../support/host-root.ts';
import { describeWith, givenMachine, program, root } from '../support/requirement.ts';
import { createServiceManagerBench, describeServiceManager, instance, product, ref, type ServiceManagerBench } from '../support/service-manager-suite.ts';

const image = 'fairlead-test/node:compose';

describe.each(['docker compose', 'docker-compose'] as const)('with a stand-in for Docker, as %s', (compose) => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fairlead-docker-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  describeServiceManager('compose', () => standInMachine(directory, compose));
});

// With whichever Compose the machine has. Where DOCKER_CONFIG names a directory with the plugin `cli-plugins/docker-compose`, that is `docker compose`.
describeWith([givenMachine, root, program('dockerd'), program('docker-compose'), program('setpriv')], 'with a real Docker daemon', () => {
  let daemon: DockerDaemon;

  beforeAll(async () => {
    daemon = await startDockerDaemon();
    await makeNodeImage(daemon, image);
  }, 120_000);
  afterAll(() => daemon?.end(), 60_000);

  describeServiceManager('compose', () => composeMachine(daemon, image));

  describe('compose, what no other manager has', () => {
    let host: Awaited<ReturnType<typeof createHostRoot>>;

    beforeEach(async () => {
      host = await createHostRoot();
    });
    afterEach(async () => {
      const container = composeNames(host.root, ref).container;
      await daemon.docker('rm', '--force', container).catch(() => undefined);
      await host.end();
    });

    const bench = (more: Partial<ComposeOptions> = {}): Promise<ServiceManagerBench> => {
      const machine = composeMachine(daemon, image, more);
      return createServiceManagerBench(host.root, machine.create(host.root), machine.outsidePid?.bind(machine));
    };
    const running = (tested: ServiceManagerBench) => eventually('the instance answers', tested.ask);

    test('line breaks, $, quotes, backslashes and names of the client\'s own settings arrive unchanged, by start and by the recovery commands; none stands in the compose file', async () => {
      const tested = await bench();
      const values = {
        MULTILINE: 'first\nDECOY=second\n  third',
        DOLLARS: '$HOME ${HOME} $$ $(id)',
        QUOTES: `"double" \`back\` \\ slash`,
        SINGLE: `it's "here"`,
        NO: 'no',
        EMPTY: '',
        DOCKER_HOST: 'unix:///for/the/instance.sock',
        PATH: '/only/for/the/instance',
      };
      const declared = { DECLARED: '$PLAIN "and" \'more\'\n#x', ON: 'on' };
      const quote = (value: string) => (value.includes("'") ? `"${value.replaceAll(/["\\$`]/g, '\\$&')}"` : `'${value}'`);
      await writeFile(tested.spec('r1').configFile, Object.entries(values).map(([name, value]) => `${name}=${quote(value)}\n`).join(''));

      await tested.services.start(tested.spec('r1', declared));
      expect((await running(tested)).env).toMatchObject({ ...values, ...declared });
      const file = await readFile(composeNames(host.root, ref).composeFile, 'utf8');
      for (const value of ['first', 'double', 'for/the/instance']) expect(file).not.toContain(value);

      const script = ['set -eu', ...tested.services.recoveryCommands(tested.spec('r2', declared))].join('\n');
      await composeMachine(daemon, image).shell(script);
      const { env } = await running(tested);
      expect(env).toMatchObject({ ...values, ...declared, FAIRLEAD_RELEASE_ID: 'r2' });
      expect(env['DECOY']).toBeUndefined();
    });

    test('crash of an instance that has run for a while, after a reload as well: the daemon brings it back, and stop ends that', async () => {
      const tested = await bench({ provenAfterMs: 300 });
      const spec = tested.spec('r1', { ON_SIGUSR2: 'count' });
      await tested.services.start(spec);
      const { pid } = await running(tested);
      const policy = async () => (await daemon.docker('inspect', '--format', '{{.HostConfig.RestartPolicy.Name}}', composeNames(host.root, ref).container)).trim();
      await eventually('the daemon is told', async () => (await policy()) === 'unless-stopped');
      await tested.services.reload(ref, 'SIGUSR2');
      await eventually('the reload', async () => (await tested.ask()).reloads === 1);
      process.kill(pid, 'SIGKILL');
      const again = await eventually('another process answers', async () => {
        const answer = await tested.ask();
        return answer.pid !== pid && answer;
      });
      expect(await tested.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid: again.pid, lastExit: null });
      expect(await tested.services.stop(spec)).toBe('stopped');
      expect((await tested.services.status(ref)).status).toBe('inactive');
    });

    test('daemon restarted: what has run for a while comes back with it, what was stopped does not', async () => {
      if (daemon.restart === null) return; // It belongs to somebody else.
      const tested = await bench({ provenAfterMs: 0 });
      await tested.services.start(tested.spec('r1'));
      const { pid } = await running(tested);
      const policy = async () => (await daemon.docker('inspect', '--format', '{{.HostConfig.RestartPolicy.Name}}', composeNames(host.root, ref).container)).trim();
      await eventually('the daemon is told', async () => (await policy()) === 'unless-stopped');
      await daemon.restart();
      const again = await running(tested);
      expect(again.pid).not.toBe(pid);
      expect(await tested.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid: again.pid });
      await tested.services.stop(tested.spec('r1'));
      await daemon.restart();
      expect((await tested.services.status(ref)).status).toBe('inactive');
    }, 60_000);

    test('daemon away: unknown, never inactive; start says what could not be asked', async () => {
      const tested = await bench({ dockerHost: 'unix:///nowhere/docker.sock' });
      expect(await tested.services.status(ref)).toEqual({ status: 'unknown', releaseId: null, pid: null, lastExit: null });
      await expect(tested.services.start(tested.spec('r1'))).rejects.toMatchObject({ retryable: true, reason: { class: 'host', code: 'docker_unreachable', message: expect.stringContaining('/nowhere/docker.sock') } });
      await expect(tested.services.stop(tested.spec('r1'))).rejects.toMatchObject({ reason: { code: 'docker_unreachable' } });
      const log = (await tested.services.evidence(ref, 5)).find((fact) => fact.kind === 'log');
      expect(log?.lines).toEqual([expect.stringContaining('the Docker daemon could not be asked')]);
    });

    test('no image set, none in the release: start refuses by name; with the files of an earlier start it takes the image of that', async () => {
      const tested = await bench();
      const withoutImage = createComposeServiceManager({ root: host.root, commands: createCommandRunner(), dockerHost: daemon.host });
      await expect(withoutImage.start(tested.spec('r1'))).rejects.toMatchObject({ reason: { code: 'compose_image_missing', hint: expect.stringContaining('FAIRLEAD_COMPOSE_IMAGE') } });
      await tested.services.start(tested.spec('r1'));
      await tested.services.stop(tested.spec('r1'));
      expect(await withoutImage.start(tested.spec('r1'))).toBe('started');
    });

    test.each(['docker save', 'docker export'])('a release that carries its image as %s writes it runs in that', async (made) => {
      const tested = await bench({ image: null });
      const spec = tested.spec('r1');
      const file = join(spec.releaseDir, 'image.tar');
      if (made === 'docker save') await daemon.docker('save', '--output', file, image);
      else {
        const container = (await daemon.docker('create', image, '/bin/sh')).trim();
        await daemon.docker('export', '--output', file, container);
        await daemon.docker('rm', container);
      }
      const own = releaseImage(host.root, { product, releaseId: spec.releaseId });
      const gone = releaseImage(host.root, { product, releaseId: 'r0' as ReleaseId });
      await daemon.docker('tag', image, gone);
      try {
        expect(await tested.services.start(spec)).toBe('started');
        // The image of a release that is no more went with this start.
        expect((await daemon.docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', own.split(':')[0] ?? '')).trim()).toBe(own);
        await running(tested);
        expect((await daemon.docker('inspect', '--format', '{{.Config.Image}}', composeNames(host.root, ref).container)).trim()).toBe(own);
      } finally {
        await tested.services.stop(spec);
        await daemon.docker('image', 'rm', own);
      }
    }, 60_000);

    test('what an instance said stays in its log file when its container is gone', async () => {
      const tested = await bench();
      await tested.services.start(tested.spec('r1'));
      await running(tested);
      await tested.services.stop(tested.spec('r1'));
      expect(await readFile(tested.spec('r1').logFile, 'utf8')).toBe('listening\nasked to stop\n');
      expect((await tested.services.evidence(ref, 5)).find((fact) => fact.kind === 'log')).toMatchObject({ instance, path: tested.spec('r1').logFile, lines: ['listening', 'asked to stop'] });
    });
  });
});
