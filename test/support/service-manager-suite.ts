import type { ChildProcess } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { completeMark, hostLayout } from '../../src/domain/host/layout.ts';
import type { InstanceName, ProductName, ReleaseId, ServiceName } from '../../src/domain/ids.ts';
import type { InstanceSpec, ServiceManager } from '../../src/ports/service-manager.ts';
import { eventually } from './eventually.ts';
import { createHostRoot, freePort } from './host-root.ts';

export const product = 'shop' as ProductName;
const service = 'api' as ServiceName;
export const instance = 'api-a' as InstanceName;
export const ref = { product, service, instance };
const repository = join(import.meta.dirname, '../..');

/** The machine on which a manager runs its instances: this one, or a container. */
export interface ManagedMachine {
  /** Where hosts' roots are made; left out where the machine sees the temporary directory. */
  readonly directory?: string;
  /** The Node that instances run on there; left out where it is this one. */
  readonly node?: string;
  create(root: string): ServiceManager;
  /** Whether a process of that id, as the manager counts, is there. */
  isAlive(pid: number): Promise<boolean>;
  kill(pid: number, signal: NodeJS.Signals): Promise<void>;
  /** Every process of the instance and of what it started. */
  members(root: string, instance: InstanceName): Promise<number[]>;
  /** Runs a script with `/bin/sh -c` there, with nothing but the PATH `/usr/sbin:/usr/bin:/sbin:/bin`; its output. */
  shell(script: string): Promise<string>;
  /** Starts `start(spec)` in a process of its own that can be killed in the middle of it. */
  startElsewhere(root: string, spec: InstanceSpec): ChildProcess;
  /** The id, as the manager counts, of the process that calls itself `pid` there; null where it is gone. By default they count alike. */
  outsidePid?(root: string, pid: number): Promise<number | null>;
  /** What the manager does not have: each is a sentence about this manager that the suite shows instead of the test. */
  readonly lacks?: Partial<Record<'several hosts', string>>;
}

export interface ServiceManagerBench {
  readonly root: string;
  readonly services: ServiceManager;
  spec(releaseId: string, env?: Record<string, string>): InstanceSpec;
  ask(): Promise<{ pid: number; cwd: string; env: Record<string, string>; reloads: number }>;
  starts(): Promise<string[]>;
}

/** Every service manager passes this suite. @param prepare called once, before the first test */
export function describeServiceManager(name: string, prepare: () => Promise<ManagedMachine> | ManagedMachine): void {
  describe(`service manager: ${name}`, () => {
    let machine: ManagedMachine;
    const create = (root: string) => machine.create(root);

    beforeAll(async () => {
      machine = await prepare();
    });

    let host: Awaited<ReturnType<typeof createHostRoot>>;
    let bench: ServiceManagerBench;

    beforeEach(async () => {
      host = await createHostRoot(machine.directory);
      bench = await createServiceManagerBench(host.root, create(host.root), machine.outsidePid?.bind(machine), machine.node);
    });
    afterEach(() => host.end());

    test('start runs the release in its directory, with its environment, and tells it by pid and release', async () => {
      expect(await bench.services.start(bench.spec('r1'))).toBe('started');
      const answer = await eventually('the instance answers', bench.ask);
      expect(answer.cwd).toBe(hostLayout(host.root, product).releaseDir('r1' as ReleaseId));
      expect(await bench.services.status(ref)).toEqual({ status: 'active', releaseId: 'r1', pid: answer.pid, lastExit: null });
    });

    test('start a second time leaves the process alone', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      expect(await bench.services.start(bench.spec('r1'))).toBe('already_running');
      expect((await bench.ask()).pid).toBe(pid);
      expect(await bench.starts()).toEqual([String(pid)]);
    });

    test('start of another release while one runs: refused, and the running one is not touched', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      await expect(bench.services.start(bench.spec('r2'))).rejects.toMatchObject({ reason: { code: 'instance_running' } });
      expect((await bench.ask()).pid).toBe(pid);
    });

    test('stop ends the process gracefully, and a second stop finds nothing', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
      expect(await machine.isAlive(pid)).toBe(false);
      expect(await bench.services.status(ref)).toMatchObject({ status: 'inactive', releaseId: null, pid: null });
      expect(await bench.services.stop(bench.spec('r1'))).toBe('not_running');
    });

    test('an instance that refuses the stop signal is killed at its limit', async () => {
      const spec = { ...bench.spec('r1', { MISBEHAVE: 'refuse-stop' }), stopSeconds: 0.3 };
      await bench.services.start(spec);
      const { pid } = await eventually('the instance answers', bench.ask);
      expect(await bench.services.stop(spec)).toBe('killed');
      expect(await machine.isAlive(pid)).toBe(false);
      expect((await bench.services.status(ref)).status).toBe('inactive');
    });

    test('an instance that crashes at its start: failed, with exit status and last words as evidence', async () => {
      await bench.services.start(bench.spec('r1', { MISBEHAVE: 'exit-7' }));
      const status = await eventually('the crash is seen', async () => {
        const now = await bench.services.status(ref);
        return now.status === 'failed' && now;
      });
      expect(status).toEqual({ status: 'failed', releaseId: null, pid: null, lastExit: 'exit 7' });
      // A manager that starts it anew has it run again for a moment.
      const evidence = await eventually('its evidence', async () => {
        const facts = await bench.services.evidence(ref, 5);
        return facts.some((fact) => fact.kind === 'unit' && fact.status === 'failed') && facts;
      });
      expect(evidence).toContainEqual(expect.objectContaining({ kind: 'unit', status: 'failed', exit: 'exit 7' }));
      expect(evidence).toContainEqual(expect.objectContaining({ kind: 'log', lines: expect.arrayContaining(['the last words']) }));
    });

    test('an instance that ends by a signal: failed, and the signal is named', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      await machine.kill(pid, 'SIGKILL');
      const status = await eventually('the end is seen', async () => {
        const now = await bench.services.status(ref);
        return now.status === 'failed' && now;
      });
      expect(status.lastExit).toBe('SIGKILL');
    });

    test('after a crash it starts again', async () => {
      await bench.services.start(bench.spec('r1'));
      let crashed = 0;
      let answer = '';
      // A manager that starts a crashed instance anew may come first: then that one is killed as well.
      for (let turn = 0; turn < 3 && answer !== 'started'; turn += 1) {
        crashed = (await eventually('the instance answers', bench.ask)).pid;
        await machine.kill(crashed, 'SIGKILL');
        await eventually('the end is seen', async () => (await bench.services.status(ref)).status === 'failed');
        answer = await bench.services.start(bench.spec('r1'));
      }
      expect(answer).toBe('started');
      expect((await eventually('the instance answers again', bench.ask)).pid).not.toBe(crashed);
    });

    test('what the instance left behind is gone after stop, also in a session of its own', async () => {
      await bench.services.start(bench.spec('r1', { MISBEHAVE: 'leave-child' }));
      await eventually('the instance answers', bench.ask);
      expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
      expect(await machine.members(host.root, instance)).toEqual([]);
    });

    test('reload reaches the main process, which goes on; nothing runs: not_running', async () => {
      expect(await bench.services.reload(ref, 'SIGUSR2')).toBe('not_running');
      await bench.services.start(bench.spec('r1', { ON_SIGUSR2: 'count' }));
      const { pid } = await eventually('the instance answers', bench.ask);
      expect(await bench.services.reload(ref, 'SIGUSR2')).toBe('reloaded');
      const after = await eventually('the signal has arrived', async () => {
        const answer = await bench.ask();
        return answer.reloads === 1 && answer;
      });
      expect(after.pid).toBe(pid);
    });

    test('forget leaves nothing of a stopped instance with the manager, a second time as well', async () => {
      await bench.services.start(bench.spec('r1'));
      await eventually('the instance answers', bench.ask);
      await bench.services.stop(bench.spec('r1'));
      for (const _ of ['once', 'twice']) await bench.services.forget(ref);
      expect(await bench.services.status(ref)).toEqual({ status: 'inactive', releaseId: null, pid: null, lastExit: null });
    });

    test('an instance that never ran: inactive, and its evidence says that there is no log', async () => {
      expect(await bench.services.status(ref)).toEqual({ status: 'inactive', releaseId: null, pid: null, lastExit: null });
      const evidence = await bench.services.evidence(ref, 5);
      expect(evidence).toContainEqual(expect.objectContaining({ kind: 'log', lines: [expect.stringContaining('there is none')] }));
    });

    test('two hosts on one machine do not see each other', async () => {
      if (machine.lacks?.['several hosts']) return;
      const other = await createHostRoot(machine.directory);
      try {
        await bench.services.start(bench.spec('r1'));
        expect((await create(other.root).status(ref)).status).toBe('inactive');
      } finally {
        await other.end();
      }
    });

    test('a command that does not exist: refused by name, nothing runs', async () => {
      await expect(bench.services.start({ ...bench.spec('r1'), command: ['no-such-program'] })).rejects.toMatchObject({
        reason: { class: 'release', code: 'command_not_found', message: expect.stringContaining('no-such-program') },
      });
      expect((await bench.services.status(ref)).status).toBe('inactive');
    });

    test('the conf file wins over the declared environment; no variable of the agent is passed on', async () => {
      process.env['AGENT_SECRET'] = 'must not travel';
      try {
        await writeFile(bench.spec('r1').configFile, "# of this host\nGREETING=\"it's \\$fine\"\nPLAIN='1'\n");
        await bench.services.start(bench.spec('r1', { GREETING: 'declared', PLAIN: '0', KEPT: 'yes' }));
        const { env } = await eventually('the instance answers', bench.ask);
        expect(env).toMatchObject({ GREETING: "it's $fine", PLAIN: '1', KEPT: 'yes', FAIRLEAD_INSTANCE: 'shop/api-a', FAIRLEAD_RELEASE_ID: 'r1' });
        expect(env['AGENT_SECRET']).toBeUndefined();
      } finally {
        delete process.env['AGENT_SECRET'];
      }
    });

    test('secrets of the conf file do not stand in the evidence', async () => {
      await writeFile(bench.spec('r1').configFile, "DATABASE_PASSWORD='correct-horse'\n");
      const spec = { ...bench.spec('r1'), command: ['/bin/sh', '-c', 'echo "login with $DATABASE_PASSWORD failed"; exit 1'] };
      await bench.services.start(spec);
      const lines = await eventually('the log has a line', async () => {
        const log = (await bench.services.evidence(ref, 5)).find((fact) => fact.kind === 'log');
        return log !== undefined && log.lines.length > 0 && log.lines;
      });
      // Once for each start: a manager may have started it anew by now.
      expect([...new Set(lines)]).toEqual(['login with **** failed']);
    });

    test('a conf file that cannot be read as sh would: refused with file and line, nothing runs', async () => {
      await writeFile(bench.spec('r1').configFile, 'GOOD=1\nBAD=$(id)\n');
      await expect(bench.services.start(bench.spec('r1'))).rejects.toMatchObject({ reason: { code: 'conf_file_invalid', message: expect.stringContaining('api-a.conf:2:') } });
      expect((await bench.services.status(ref)).status).toBe('inactive');
    });

    test('agent killed after the spawn, with and without a record of it: the next one adopts the same process', async () => {
      for (const keepRecord of [false, true]) {
        const agent = machine.startElsewhere(host.root, bench.spec('r1'));
        try {
          // The first sight of the process is the earliest moment at which the agent can die with something running.
          const [first] = await eventually('the process is there', async () => {
            const found = await machine.members(host.root, instance);
            return found.length > 0 && found;
          });
          agent.kill('SIGKILL');
          if (!keepRecord) await rm(join(hostLayout(host.root, product).runtimeDir, `${instance}.json`), { force: true });
          expect(await create(host.root).start(bench.spec('r1'))).toBe('already_running');
          expect((await eventually('the instance answers', bench.ask)).pid).toBe(first);
          expect(await create(host.root).status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid: first });
        } finally {
          agent.kill('SIGKILL');
        }
        expect(await bench.services.stop(bench.spec('r1'))).toBe('stopped');
      }
      expect(await bench.starts()).toHaveLength(2);
    });

    test('starts at the same time make one process', async () => {
      const answers = await Promise.all([1, 2, 3].map(() => bench.services.start(bench.spec('r1'))));
      expect(answers.sort()).toEqual(['already_running', 'already_running', 'started']);
      await eventually('the instance answers', bench.ask);
      expect(await bench.starts()).toHaveLength(1);
    });

    test('cancelled while it stops: the wait ends, and the next stop finishes the work', async () => {
      const spec = bench.spec('r1', { MISBEHAVE: 'refuse-stop' });
      await bench.services.start(spec);
      const { pid } = await eventually('the instance answers', bench.ask);
      const cancel = new AbortController();
      const stopping = bench.services.stop({ ...spec, stopSeconds: 60 }, cancel.signal);
      await eventually('the signal has arrived', async () => (await bench.services.evidence(ref, 5)).some((fact) => fact.kind === 'log' && fact.lines.includes('asked to stop')));
      cancel.abort(new Error('the run was cancelled'));
      await expect(stopping).rejects.toThrow('the run was cancelled');
      expect(await machine.isAlive(pid)).toBe(true);
      expect(await bench.services.stop({ ...spec, stopSeconds: 0.1 })).toBe('killed');
    });

    test('recovery commands alone stop the old release and start the other, and the manager adopts what they started', async () => {
      await writeFile(bench.spec('r1').configFile, "GREETING=\"it's here\"\n");
      await bench.services.start(bench.spec('r2'));
      const before = await eventually('the instance answers', bench.ask);
      const script = ['set -eu', ...bench.services.recoveryCommands(bench.spec('r1')), 'echo done'].join('\n');
      const stdout = await machine.shell(script);
      expect(stdout).toBe('done\n');
      const after = await eventually('the recovered instance answers', async () => {
        const answer = await bench.ask();
        return answer.pid !== before.pid && answer;
      });
      expect(after.env).toMatchObject({ FAIRLEAD_RELEASE_ID: 'r1', GREETING: "it's here" });
      expect(await machine.isAlive(before.pid)).toBe(false);
      expect(await bench.services.start(bench.spec('r1'))).toBe('already_running');
      expect(await bench.services.status(ref)).toMatchObject({ status: 'active', releaseId: 'r1', pid: after.pid });
      await machine.kill(after.pid, 'SIGKILL');
      await eventually('its end is known as well', async () => (await bench.services.status(ref)).lastExit === 'SIGKILL');
    });

    test('stop commands alone end the instance, and do nothing where none runs', async () => {
      await bench.services.start(bench.spec('r1'));
      const { pid } = await eventually('the instance answers', bench.ask);
      const script = ['set -eu', ...bench.services.stopCommands(bench.spec('r1')), 'echo done'].join('\n');
      for (const _ of ['runs', 'is gone']) expect(await machine.shell(script)).toBe('done\n');
      expect(await machine.isAlive(pid)).toBe(false);
    });
  });
}

export async function createServiceManagerBench(
  root: string,
  services: ServiceManager,
  outsidePid: (root: string, pid: number) => Promise<number | null> = async (_root, pid) => pid,
  node = process.execPath,
): Promise<ServiceManagerBench> {
  const layout = hostLayout(root, product);
  const port = await freePort();
  const startsFile = join(layout.stateRoot, 'starts');
  await mkdir(layout.stateRoot, { recursive: true });
  const program = await readFile(join(repository, 'test/bin/instance.mjs'));
  for (const releaseId of ['r1', 'r2']) {
    await mkdir(layout.releaseDir(releaseId as ReleaseId), { recursive: true });
    await writeFile(join(layout.releaseDir(releaseId as ReleaseId), 'instance.mjs'), program);
    await writeFile(join(layout.releaseDir(releaseId as ReleaseId), completeMark), '{}\n');
  }
  await mkdir(layout.configDir, { recursive: true });
  return {
    root,
    services,
    spec: (releaseId, env = {}) => ({
      product,
      service,
      instance,
      releaseId: releaseId as ReleaseId,
      releaseDir: layout.releaseDir(releaseId as ReleaseId),
      command: [node, 'instance.mjs'],
      configFile: layout.configFile(instance),
      env: { PORT: String(port), STARTS_FILE: startsFile, ...env },
      logFile: layout.logFile(instance),
      stopSignal: 'SIGTERM',
      stopSeconds: 10,
      reloadSignal: null,
    }),
    ask: async () => {
      const answer = (await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).json()) as Awaited<ReturnType<ServiceManagerBench['ask']>>;
      return { ...answer, pid: (await outsidePid(root, answer.pid)) ?? answer.pid };
    },
    starts: async () => {
      const pids = (await readFile(startsFile, 'utf8')).trim().split('\n').map(Number);
      return Promise.all(pids.map(async (pid) => String((await outsidePid(root, pid)) ?? pid)));
    },
  };
}

