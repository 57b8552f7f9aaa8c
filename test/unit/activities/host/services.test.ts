import { createServiceActivities, createServiceInspection } from '../../../../activities/host/services.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId, ServiceName } from '../../../../src/domain/ids.ts';
import type { InstanceStatus } from '../../../../src/ports/service-manager.ts';
import { activityContext, active, createFakeHost, type FakeHost } from '../../../support/fake-host.ts';
import { sampleManifest } from '../../../support/host-samples.ts';

const a = 'api-a' as InstanceName;
const c = 'api-c' as InstanceName;
const run = (runId = 'run-1') => ({ runId: runId as RunId, host: 'h1' as HostId, product: 'shop' as ProductName, fence: 1 });
const reload = { run: run(), direction: 'do' as const, instance: a, releaseId: 'r1' as ReleaseId };
const extra = (direction: 'do' | 'undo' = 'do', runId = 'run-1') => ({ run: run(runId), direction, instance: c, service: 'api' as ServiceName, short: 'c' });
const codeOf = (work: Promise<unknown>) => work.then(() => null, (error: FairleadError) => error.reason?.code ?? String(error));

interface Files {
  readonly confs: Map<string, Record<string, string>>;
  readonly aside: string[];
  readonly takenPorts: Set<number>;
}

function setUp(answers: readonly boolean[] = [true]): { host: FakeHost; files: Files; activities: ReturnType<typeof createServiceActivities> } {
  const services = sampleManifest().services.map((service) => ({ ...service, reloadSignal: service.name === 'api' ? ('SIGUSR2' as const) : null, startSeconds: 0.2 }));
  const host = createFakeHost({ manifest: { services } });
  const files: Files = { confs: new Map(), aside: [], takenPorts: new Set() };
  const left = [...answers];
  Object.assign(host.dependencies.services, {
    reload: async ({ instance }: { instance: InstanceName }, signal: string) => {
      host.changes.push(`${signal} ${instance}`);
      return host.units.get(instance)?.pid ? 'reloaded' : 'not_running';
    },
  });
  Object.assign(host.dependencies, {
    probe: { ask: async () => ({ passed: left.length > 1 ? left.shift() : left[0], releaseId: 'r1', evidence: { kind: 'probe', at: '', probe: 'api-ready', target: a, passed: false, answer: 'status 503' } }) },
    files: {
      readInstanceConfig: async (_product: ProductName, instance: InstanceName) => files.confs.get(instance) ?? null,
      writeInstanceConfig: async (_product: ProductName, instance: InstanceName, values: Record<string, string>) => void files.confs.set(instance, values),
      removeInstanceConfig: async (_product: ProductName, instance: InstanceName) => void files.confs.delete(instance),
      setAsideInstanceConfig: async (_product: ProductName, instance: InstanceName) => {
        files.aside.push(instance);
        files.confs.delete(instance);
      },
      isFreePort: async (port: number) => !files.takenPorts.has(port),
    },
  });
  return { host, files, activities: createServiceActivities(host.dependencies) };
}

describe('a reload', () => {
  test('sends the declared signal, waits until the instance is ready, and touches neither process nor router', async () => {
    const { host, activities } = setUp([false, false, true]);
    expect(await activities.reloadInstance(reload, activityContext())).toMatchObject({ pid: 100 });
    expect(host.changes).toEqual(['SIGUSR2 api-a']);
  });
  test('is not proven by an answer that came before the signal was taken up', async () => {
    const { activities } = setUp([true, true, false]);
    expect(await codeOf(activities.reloadInstance(reload, activityContext()))).toBe('probe_failed');
  });
  test('that ends the process is a failure, with the log', async () => {
    const { host, activities } = setUp();
    const died: InstanceStatus = { status: 'failed', releaseId: null, pid: null, lastExit: 'SIGUSR2' };
    const send = host.dependencies.services.reload;
    (host.dependencies.services as { reload: typeof send }).reload = async (...given) => {
      const result = await send(...given);
      host.units.set(a, died);
      return result;
    };
    expect(await codeOf(activities.reloadInstance(reload, activityContext()))).toBe('reload_ended_process');
  });
  test('after which another process answers is a failure: something restarted it', async () => {
    const { host, activities } = setUp();
    const send = host.dependencies.services.reload;
    (host.dependencies.services as { reload: typeof send }).reload = async (...given) => {
      host.units.set(a, { ...active('r1'), pid: 101 });
      return send(...given);
    };
    expect(await codeOf(activities.reloadInstance(reload, activityContext()))).toBe('reload_ended_process');
  });
  test('after which it is not ready in its time is a failure', async () => expect(await codeOf(setUp([false]).activities.reloadInstance(reload, activityContext()))).toBe('probe_failed'));
  test('of a dead instance is a failure', async () => {
    const { host, activities } = setUp();
    host.units.delete(a);
    expect(await codeOf(activities.reloadInstance(reload, activityContext()))).toBe('instance_not_running');
    expect(host.changes).toEqual([]);
  });
  test('where the manager cannot be asked is no reload', async () => {
    const { host, activities } = setUp();
    host.units.set(a, { status: 'unknown', releaseId: null, pid: null, lastExit: null });
    expect(await codeOf(activities.reloadInstance(reload, activityContext()))).toBe('service_manager_unreachable');
    expect(host.changes).toEqual([]);
  });
});

describe('an added instance', () => {
  const add = (port = 4103, portFixed = false) => ({ ...extra(), port, portFixed });
  test('gets its entry before its conf file, and is not kept by updates before it is settled', async () => {
    const { host, files, activities } = setUp();
    expect(await activities.addInstance(add())).toEqual({ port: 4103 });
    expect(files.confs.get(c)).toEqual({ PORT: '4103' });
    expect(host.state.extras).toEqual([{ service: 'api', short: 'c', port: 4103, phase: 'installed', addedBy: 'run-1', settled: false }]);
    await activities.settleInstance(extra());
    expect(host.state.extras?.[0]?.settled).toBe(true);
  });
  test('takes the next port where the first is taken', async () => {
    const { files, activities } = setUp();
    files.takenPorts.add(4103).add(4104);
    expect(await activities.addInstance(add())).toEqual({ port: 4105 });
  });
  test('is refused the port that was asked for where it is taken, and leaves nothing', async () => {
    const { host, files, activities } = setUp();
    files.takenPorts.add(5000);
    expect(await codeOf(activities.addInstance(add(5000, true)))).toBe('port_taken');
    expect([host.state.extras, [...files.confs]]).toEqual([undefined, []]);
  });
  test('keeps what people wrote into its conf file, and the port that stands there', async () => {
    const { files, activities } = setUp();
    files.confs.set(c, { PORT: '4500', WORKERS: '3' });
    expect(await activities.addInstance(add())).toEqual({ port: 4500 });
    expect(files.confs.get(c)).toEqual({ PORT: '4500', WORKERS: '3' });
  });
  test('keeps its port when the command is repeated after a crash, also where it listens by now', async () => {
    const { host, files, activities } = setUp();
    const write = host.dependencies.files.writeInstanceConfig;
    Object.assign(host.dependencies.files, { writeInstanceConfig: () => Promise.reject(new Error('died here')) });
    expect(await codeOf(activities.addInstance(add()))).toContain('died here');
    Object.assign(host.dependencies.files, { writeInstanceConfig: write });
    files.takenPorts.add(4103);
    expect(await activities.addInstance(add())).toEqual({ port: 4103 });
    expect(host.state.extras).toHaveLength(1);
  });
  test('takes the place of one whose run died', async () => {
    const { host, activities } = setUp();
    await activities.addInstance({ ...add(), run: run('run-0') });
    await activities.addInstance(add());
    expect(host.state.extras).toMatchObject([{ addedBy: 'run-1' }]);
  });
});

describe('forgetting an instance', () => {
  test('sets its conf file aside and drops its entry; twice is as once', async () => {
    const { host, files, activities } = setUp();
    await activities.addInstance({ ...extra(), port: 4103, portFixed: false });
    await activities.forgetInstance(extra());
    await activities.forgetInstance(extra());
    expect([host.state.extras, files.aside, [...files.confs]]).toEqual([undefined, [c], []]);
  });
  test('on the way back removes a conf file that holds nothing but our port, and sets others aside', async () => {
    const { files, activities } = setUp();
    await activities.addInstance({ ...extra(), port: 4103, portFixed: false });
    await activities.forgetInstance(extra('undo'));
    expect([files.aside, [...files.confs]]).toEqual([[], []]);
    files.confs.set(c, { PORT: '4103', WORKERS: '3' });
    await activities.forgetInstance(extra('undo'));
    expect(files.aside).toEqual([c]);
  });
});

test('looking at the services names each process and the added instances, and changes nothing', async () => {
  const { host, activities } = setUp();
  await activities.addInstance({ ...extra(), port: 4103, portFixed: false });
  host.changes.length = 0;
  Object.assign(host.dependencies.store, { readIntent: async () => null });
  const seen = await createServiceInspection(host.dependencies).inspectServices({ product: 'shop' as ProductName });
  expect(seen.manifest?.services.find(({ name }) => name === 'api')?.instances.installed).toEqual(['a', 'b', 'c']);
  expect(seen.processes[a]).toMatchObject({ status: 'active', pid: 100 });
  expect(host.changes).toEqual([]);
});
