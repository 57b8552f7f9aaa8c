import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, readIfThere } from '../../src/adapters/files/durable.ts';
import { findByEnvironment, isAlive, readProcess, signalProcess } from '../../src/adapters/process/proc.ts';
import { openRcNames, renderLaunchFile, watcherIdentity } from '../../src/adapters/service-manager/openrc/init-script.ts';
import { createOpenRcServiceManager } from '../../src/adapters/service-manager/openrc/index.ts';
import { parseProcessNote } from '../../src/adapters/service-manager/openrc/parse.ts';
import { completeMark, hostLayout } from '../../src/domain/host/layout.ts';
import { ownProduct, type InstanceName, type ReleaseId, type ServiceName } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { createHostRoot } from '../support/host-root.ts';
import { openRcRequirements, useOpenRcStandIn, useRealOpenRc, type OpenRcMachine } from '../support/openrc-machine.ts';
import { describeWith, type Requirement } from '../support/requirement.ts';
import { createServiceManagerBench, describeServiceManager, product, ref, type ServiceManagerBench } from '../support/service-manager-suite.ts';

describeSuite('played by stand-ins', [], useOpenRcStandIn);
describeSuite('of this machine', openRcRequirements, useRealOpenRc);

function describeSuite(name: string, requirements: readonly Requirement[], use: () => Promise<OpenRcMachine>): void {
  describeWith(requirements, `OpenRC, ${name}`, () => {
    let machine: OpenRcMachine;
    beforeAll(async () => {
      machine = await use();
    }, 60_000);
    afterEach(() => machine.clear(), 60_000);
    afterAll(() => machine?.end(), 60_000);

    describeServiceManager(`openrc, ${name}`, () => machine);

    describe(`service manager: openrc, ${name}, what only it does`, () => {
      let host: Awaited<ReturnType<typeof createHostRoot>>;
      let bench: ServiceManagerBench;
      const names = () => openRcNames(host.root, machine.initDir, ref);
      const answering = (what: string, wanted: (answer: Awaited<ReturnType<ServiceManagerBench['ask']>>) => boolean = () => true) =>
        eventually(what, async () => {
          const answer = await bench.ask();
          return wanted(answer) && answer;
        });
      const watcher = async () => {
        const note = parseProcessNote(await readIfThere(names().processNote));
        const main = note === null ? null : await readProcess(note.pid);
        const found = (await findByEnvironment(watcherIdentity(host.root, ref))).find(({ pid }) => pid === main?.parentPid);
        if (found === undefined) throw new Error('there is no shell that waits for the instance');
        return found;
      };

      beforeEach(async () => {
        host = await createHostRoot();
        bench = await createServiceManagerBench(host.root, machine.create(host.root));
      });
      afterEach(async () => {
        await machine.clear();
        await host.end();
      });

      test('a crash is seen as one, and then OpenRC starts the instance anew, on the same release', async () => {
        await bench.services.start(bench.spec('r1'));
        const { pid } = await answering('the instance answers');
        await machine.kill(pid, 'SIGKILL');
        await eventually('the crash is seen', async () => (await bench.services.status(ref)).status === 'failed');
        const after = await answering('it answers again', (answer) => answer.pid !== pid);
        expect(after.env['FAIRLEAD_RELEASE_ID']).toBe('r1');
        expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid: after.pid, lastExit: null });
        // Somebody who saw it crash and starts its successor may ask again, and then stops it first.
        await expect(bench.services.start(bench.spec('r2'))).rejects.toMatchObject({ reason: { code: 'instance_running' }, retryable: true });
      });

      test('it crashes again and again: OpenRC gives up, the instance has failed, and the next release starts all the same', async () => {
        await writeFile(join(machine.confDir, names().service), 'respawn_max=1\n');
        await bench.services.start({ ...bench.spec('r1', { MISBEHAVE: 'exit-7' }) });
        await eventually('OpenRC has given up', () => exists(join(machine.stateDir, 'failed', names().service)), 30_000);
        expect(await bench.services.status(ref)).toEqual({ status: 'failed', releaseId: null, pid: null, lastExit: 'exit 7' });
        expect(await bench.starts()).toHaveLength(2);
        expect(await bench.services.start(bench.spec('r2'))).toBe('started');
        const { pid } = await answering('the other release answers');
        expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r2', pid, lastExit: null });
      });

      test('a program that has finished stays ended, and is no failure', async () => {
        await bench.services.start({ ...bench.spec('r1'), command: ['/bin/sh', '-c', 'echo done'] });
        await eventually('OpenRC says so too', async () => !(await exists(join(machine.stateDir, 'started', names().service))) && (await findByEnvironment({ FAIRLEAD_ROOT: host.root })).length === 0);
        expect(await bench.services.status(ref)).toEqual({ status: 'inactive', releaseId: null, pid: null, lastExit: 'exit 0' });
      });

      test("Fairlead's own agent is told by a stranger to end: it ends well, and OpenRC starts it anew until it is told to stop it", async () => {
        const layout = hostLayout(host.root, ownProduct);
        const own = { product: ownProduct, service: 'agent' as ServiceName, instance: 'agent-main' as InstanceName };
        const spec = { ...bench.spec('r1'), ...own, configFile: layout.configFile(own.instance), logFile: layout.logFile(own.instance) };
        await bench.services.start(spec);
        const { pid } = await answering('it answers');
        await machine.kill(pid, 'SIGTERM');
        const after = await answering('it answers again', (answer) => answer.pid !== pid);
        expect(await bench.services.status(own)).toMatchObject({ status: 'active', pid: after.pid });
        expect(await bench.services.stop(spec)).toBe('stopped');
        await eventually('nothing is left of its supervision', async () => (await findByEnvironment({ FAIRLEAD_ROOT: host.root })).length === 0);
      });

      test.each(['SIGINT', 'SIGQUIT'] as const)('%s as the stop signal reaches the program, which does not ignore it', async (stopSignal) => {
        const spec = { ...bench.spec('r1'), stopSignal };
        await bench.services.start(spec);
        await answering('the instance answers');
        expect(await bench.services.stop(spec)).toBe('stopped');
      });

      test('what a person does with rc-service is seen, and is as graceful', async () => {
        await bench.services.start(bench.spec('r1', { MISBEHAVE: 'leave-child' }));
        const { pid } = await answering('the instance answers');
        await machine.rcService(names().service, 'stop');
        expect(await machine.isAlive(pid)).toBe(false);
        // OpenRC has them killed and does not wait for them.
        await eventually('nothing of it is left', async () => (await machine.members(host.root, ref.instance)).length === 0);
        expect((await bench.services.status(ref)).status).toBe('inactive');
        expect(await readFile(bench.spec('r1').logFile, 'utf8')).toContain('asked to stop');
        await machine.rcService(names().service, 'start');
        const after = await answering('it answers again');
        expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid: after.pid, lastExit: null });
        expect(await bench.services.start(bench.spec('r1'))).toBe('already_running');
      });

      test.each([
        ['its COMPLETE mark', (dir: string) => join(dir, completeMark), 'is not complete'],
        ['its program', (dir: string) => join(dir, 'server'), 'cannot be executed'],
      ])('a release without %s is not started, and OpenRC says why', async (_, fileOf, why) => {
        const spec = { ...bench.spec('r1'), command: ['./server'] };
        await writeFile(join(spec.releaseDir, 'server'), `#!/bin/sh\nexec ${process.execPath} instance.mjs\n`, { mode: 0o755 });
        await bench.services.start(spec);
        await answering('the instance answers');
        await bench.services.stop(spec);
        await rm(fileOf(spec.releaseDir));
        await expect(machine.rcService(names().service, 'start')).rejects.toMatchObject({ stderr: expect.stringContaining(why) });
        expect((await bench.services.status(ref)).status).not.toBe('active');
        if (why === 'is not complete') await expect(bench.services.start(spec)).rejects.toMatchObject({ reason: { code: 'instance_start_failed', message: expect.stringContaining(why) } });
        expect(await machine.members(host.root, ref.instance)).toEqual([]);
      });

      test('the shell that waits is killed: the instance runs on, gets no twin, and is stopped as ever', async () => {
        await bench.services.start(bench.spec('r1'));
        const { pid } = await answering('the instance answers');
        const before = await watcher();
        await signalProcess(before, 'SIGKILL');
        await eventually('OpenRC has started another one', async () => (await findByEnvironment(watcherIdentity(host.root, ref))).some(({ startTicks }) => startTicks !== before.startTicks));
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid });
        expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
        expect(await machine.isAlive(pid)).toBe(false);
        expect(await bench.starts()).toHaveLength(1);
        expect((await bench.services.status(ref)).status).toBe('inactive');
      });

      test('the supervisor is killed: the instance runs on and is known, stopped, and started again', async () => {
        await bench.services.start(bench.spec('r1'));
        const { pid } = await answering('the instance answers');
        const supervisor = await readProcess((await watcher()).parentPid);
        if (supervisor === null || supervisor.pid === 1) throw new Error('there is no supervisor');
        await signalProcess(supervisor, 'SIGKILL');
        await eventually('it is gone', async () => !(await isAlive(supervisor)));
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid });
        expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
        expect(await machine.isAlive(pid)).toBe(false);
        expect((await bench.services.status(ref)).status).toBe('inactive');
        expect(await bench.services.start(bench.spec('r2'))).toBe('started');
        expect((await answering('the other release answers')).env['FAIRLEAD_RELEASE_ID']).toBe('r2');
      });

      test('a stop that nobody waits for any more: the instance ends, and is not started anew', async () => {
        const spec = bench.spec('r1', { MISBEHAVE: 'slow-stop', STOP_MS: '6000' });
        await bench.services.start(spec);
        const { pid } = await answering('the instance answers');
        const cancel = new AbortController();
        const stopping = bench.services.stop(spec, cancel.signal);
        await eventually('it is asked to stop', async () => (await readFile(spec.logFile, 'utf8')).includes('asked to stop'));
        expect((await bench.services.status(ref)).status).toBe('draining');
        cancel.abort(new Error('the run was cancelled'));
        await expect(stopping).rejects.toThrow('the run was cancelled');
        await eventually('it has ended', async () => !(await machine.isAlive(pid)));
        await eventually('nothing is left of its supervision', async () => (await findByEnvironment({ FAIRLEAD_ROOT: host.root })).length === 0);
        expect((await bench.services.status(ref)).status).toBe('inactive');
        expect(await bench.starts()).toHaveLength(1);
      });

      test('agent killed after it wrote the launch file of another release: status tells the release of the process', async () => {
        await bench.services.start(bench.spec('r1'));
        await answering('the instance answers');
        await writeFile(names().launchFile, renderLaunchFile(host.root, bench.spec('r2'), [process.execPath, 'instance.mjs'], {}));
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
        await bench.services.stop(bench.spec('r1'));
        expect(await bench.services.start(bench.spec('r1'))).toBe('started');
        expect((await answering('it answers')).env['FAIRLEAD_RELEASE_ID']).toBe('r1');
      });

      test('a process that hides its environment: its release is known all the same', async () => {
        const { command } = bench.spec('r1');
        await bench.services.start({ ...bench.spec('r1'), command: ['/bin/sh', '-c', `exec env -i PORT="$PORT" STARTS_FILE="$STARTS_FILE" ${command.join(' ')}`] });
        const { pid } = await answering('the instance answers', ({ env }) => env['FAIRLEAD_RELEASE_ID'] === undefined);
        expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid, lastExit: null });
        expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
        expect(await machine.isAlive(pid)).toBe(false);
      });

      test('words of the command and values of the environment reach the instance as they are', async () => {
        const words = ["it's", '$HOME', '${HOME}', '$(id)', 'a  b', '', '*', '100%', ';', '"', '\\', 'a\nb', 'Grüße'];
        const env = { AWKWARD: `it's "quoted" 100% $HOME \\ a\nb` };
        const script = 'require("fs").writeFileSync(process.env.OUT, JSON.stringify([process.argv.slice(1), process.env])); setInterval(() => {}, 1000)';
        await bench.services.start({ ...bench.spec('r1', { ...env, OUT: join(host.root, 'out') }), command: [process.execPath, '-e', script, ...words] });
        const [argv, found] = await eventually('it has written', async () => JSON.parse(await readFile(join(host.root, 'out'), 'utf8')));
        expect(argv).toEqual(words);
        expect(found).toMatchObject({ ...env, HOME: hostLayout(host.root, product).stateRoot });
        expect(Object.keys(found).filter((name) => /^(RC_|EINFO|OPENRC|SVCNAME|FAIRLEAD_WATCHES)/.test(name))).toEqual([]);
      });

      test('it starts with the machine; an update leaves the init script as it is; forget takes all away', async () => {
        await bench.services.start(bench.spec('r1'));
        await answering('the instance answers');
        const { service, initScript } = names();
        const before = await stat(initScript);
        expect(await readdir(machine.runlevelDir)).toContain(service);
        await bench.services.stop(bench.spec('r1'));
        await bench.services.start(bench.spec('r2'));
        await answering('the other release answers', ({ env }) => env['FAIRLEAD_RELEASE_ID'] === 'r2');
        // By its time OpenRC would compute the dependencies of every service anew.
        expect((await stat(initScript)).ino).toBe(before.ino);
        await bench.services.stop(bench.spec('r2'));
        await bench.services.forget(ref);
        expect(await readdir(machine.runlevelDir)).not.toContain(service);
        expect(await exists(initScript)).toBe(false);
        expect((await readdir(hostLayout(host.root, product).runtimeDir)).filter((name) => name.startsWith(ref.instance))).toEqual([]);
      });

      test('the log and the conf file are not for everybody, and no secret is in what OpenRC reads', async () => {
        await writeFile(bench.spec('r1').configFile, "API_KEY='correct-horse'\n", { mode: 0o600 });
        await bench.services.start(bench.spec('r1'));
        expect((await answering('the instance answers')).env['API_KEY']).toBe('correct-horse');
        expect((await stat(bench.spec('r1').logFile)).mode & 0o777).toBe(0o640);
        for (const file of [names().initScript, names().launchFile, names().processNote]) expect(await readFile(file, 'utf8')).not.toContain('correct-horse');
      });

      test('a service of somebody else with the same name: refused, left alone, nothing runs', async () => {
        await writeFile(names().initScript, '#!/sbin/openrc-run\ncommand=/bin/true\n', { mode: 0o755 });
        await expect(bench.services.start(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'unit_name_taken', message: expect.stringContaining(names().initScript) } });
        await bench.services.forget(ref);
        expect(await readFile(names().initScript, 'utf8')).toBe('#!/sbin/openrc-run\ncommand=/bin/true\n');
        expect(await machine.members(host.root, ref.instance)).toEqual([]);
      });

      test.each([
        ['there is no rc-service', { run: (argv: readonly string[], options: object) => machine.commands.run([`/nowhere/${argv[0]}`, ...argv.slice(1)], options as never) }, () => machine.stateDir],
        ['OpenRC does not run the machine', { run: (argv: readonly string[], options: object) => machine.commands.run(argv, options as never) }, () => host.root],
        ['OpenRC does not answer', { run: (_: readonly string[], options: object) => machine.commands.run(['/bin/sleep', '60'], { ...options, timeoutMs: 200 }) }, () => machine.stateDir],
      ])('%s: unknown, never inactive; nothing is started or stopped', async (_, commands, stateDir) => {
        await bench.services.start(bench.spec('r1'));
        const { pid } = await answering('the instance answers');
        const services = createOpenRcServiceManager({ root: host.root, initDir: machine.initDir, commands, stateDir: stateDir() });
        expect(await services.status(ref)).toEqual({ status: 'unknown', releaseId: null, pid: null, lastExit: null });
        expect(await services.status({ ...ref, instance: 'api-z' as typeof ref.instance })).toMatchObject({ status: 'unknown' });
        expect(await services.evidence(ref, 5)).toContainEqual(expect.objectContaining({ kind: 'unit', status: 'unknown' }));
        await expect(services.stop(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'service_manager_unreachable' }, retryable: true });
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', pid });
        expect(await bench.starts()).toHaveLength(1);
      });

      test('two releases side by side in two instances', async () => {
        const layout = hostLayout(host.root, product);
        const other = { ...ref, instance: 'api-b' as typeof ref.instance };
        const startOther = bench.services.start({ ...bench.spec('r2', { PORT: '0' }), ...other, releaseDir: layout.releaseDir('r2' as ReleaseId), configFile: layout.configFile(other.instance), logFile: layout.logFile(other.instance) });
        expect(await Promise.all([bench.services.start(bench.spec('r1')), startOther])).toEqual(['started', 'started']);
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
        expect(await bench.services.status(other)).toMatchObject({ status: 'active', releaseId: 'r2' });
        expect(await bench.services.stop({ ...bench.spec('r2'), ...other })).toBe('stopped');
        expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1' });
      });
    });
  });
}
