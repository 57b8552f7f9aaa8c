import type { ExtraInstance, Intent } from '../../../../src/domain/host/state.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId, ServiceName } from '../../../../src/domain/ids.ts';
import { withExtras } from '../../../../src/domain/host/instances.ts';
import { planService, type ServiceDecision } from '../../../../src/domain/service/plan.ts';
import type { ServiceInspection } from '../../../../src/domain/service/inspection.ts';
import type { ServiceRequest } from '../../../../src/domain/service/request.ts';
import { serviceStepTitle } from '../../../../src/domain/service/step.ts';
import type { ProductManifest } from '../../../../src/domain/product/manifest.ts';
import { running, sampleServices } from '../../../support/service-samples.ts';

const a = 'api-a' as InstanceName;
const b = 'api-b' as InstanceName;
const base = { host: 'h1' as HostId, product: 'shop' as ProductName, service: 'api' as ServiceName, releaseId: 'r1' as ReleaseId, requestedBy: 'ci', requestId: '1' };
type Wish = ServiceRequest extends infer Request ? (Request extends ServiceRequest ? Omit<Request, keyof typeof base> & { service?: string } : never) : never;
const plan = (wish: Wish, change: Partial<ServiceInspection> = {}): ServiceDecision => planService(sampleServices(change), { ...base, ...wish } as ServiceRequest);
const stepsOf = (decision: ServiceDecision): string[] => (decision.kind === 'act' ? decision.plan.steps.map(serviceStepTitle) : [decision.kind === 'refuse' ? decision.reason.code : decision.kind]);
const roll = (name: string) => [`drain ${name}`, `restart ${name}`, `prove ${name}`, `admit ${name}`];
const around = (...steps: string[]) => ['open-intent', 'arm-recovery', ...steps, 'verify-health', 'close-intent'];

const withState = (change: Partial<NonNullable<ServiceInspection['state']>>): Partial<ServiceInspection> => ({ state: { ...sampleServices().state!, ...change } });
const out = (name: InstanceName) => {
  const { instances } = sampleServices().state!;
  return withState({ instances: { ...instances, [name]: { ...instances[name]!, admitted: false } } });
};
const dead = (...names: InstanceName[]): Partial<ServiceInspection> => ({ processes: { ...sampleServices().processes, ...Object.fromEntries(names.map((name) => [name, running('failed')])) } });
const extraC: ExtraInstance = { service: 'api' as ServiceName, short: 'c', port: 4103, phase: 'installed', addedBy: 'run-0' as RunId, settled: true };
/** The host has api-c beside what the manifest declares. */
function withC(admitted = true): Partial<ServiceInspection> {
  const { state, manifest, processes } = sampleServices();
  const entry = { ...state!.instances[a]!, port: 4103, admitted };
  return {
    state: { ...state!, instances: { ...state!.instances, ['api-c' as InstanceName]: entry }, extras: [extraC] },
    manifest: withExtras(manifest as ProductManifest, [extraC]),
    processes: { ...processes, ['api-c' as InstanceName]: running() },
  };
}

describe('a restart', () => {
  test('takes one instance after the other, each once', () => expect(stepsOf(plan({ action: 'restart' }))).toEqual(around(...roll('api-a'), ...roll('api-b'))));
  test('takes only those that were named', () => expect(stepsOf(plan({ action: 'restart', instances: [b] }))).toEqual(around(...roll('api-b'))));
  test('takes the dead one first, which nobody misses, and then its twin', () => expect(stepsOf(plan({ action: 'restart' }, dead(b)))).toEqual(around(...roll('api-b'), ...roll('api-a'))));
  test('of one instance whose twin is dead is refused', () => expect(plan({ action: 'restart', instances: [a] }, dead(b))).toMatchObject({ kind: 'refuse', reason: { class: 'host', code: 'twin_down', hint: expect.stringContaining('service restart api') } }));
  test('of one instance whose twin is out of the router is refused', () => expect(stepsOf(plan({ action: 'restart', instances: [a] }, out(b)))).toEqual(['twin_down']));
  test('of the dead twin alone is done', () => expect(stepsOf(plan({ action: 'restart', instances: [b] }, dead(b)))).toEqual(around(...roll('api-b'))));
  test('of the only instance is done, with a warning', () => {
    const decision = plan({ action: 'restart', service: 'web' });
    expect(stepsOf(decision)).toEqual(around(...roll('web-a')));
    expect(decision).toMatchObject({ plan: { warnings: [expect.stringContaining('one instance')] } });
  });
  test('takes an added instance like the others', () => expect(stepsOf(plan({ action: 'restart' }, withC()))).toEqual(around(...roll('api-a'), ...roll('api-b'), ...roll('api-c'))));
});

describe('a reload', () => {
  test('signals each process and proves it', () => expect(stepsOf(plan({ action: 'reload' }))).toEqual(around('reload api-a', 'prove api-a', 'reload api-b', 'prove api-b')));
  test('of a service without a signal is refused, and says how to restart', () => expect(plan({ action: 'reload', service: 'web' })).toMatchObject({ kind: 'refuse', reason: { class: 'request', code: 'reload_undeclared', hint: expect.stringContaining('service restart web') } }));
  test('of a service without a signal is a restart where that was asked for', () => expect(stepsOf(plan({ action: 'reload', service: 'web', orRestart: true }))).toEqual(around(...roll('web-a'))));
  test('of a dead instance is refused', () => expect(stepsOf(plan({ action: 'reload' }, dead(b)))).toEqual(['instance_not_running']));
  test('of a dead instance restarts it where that was asked for, and only it', () => expect(stepsOf(plan({ action: 'reload', orRestart: true }, dead(b)))).toEqual(around('reload api-a', 'prove api-a', ...roll('api-b'))));
});

describe('an added instance', () => {
  const adding = ['open-intent', 'add api-c', 'arm-recovery', 'restart api-c', 'prove api-c', 'admit api-c', 'verify-health', 'settle api-c', 'close-intent'];
  test('gets the port above the highest of its service', () => {
    const decision = plan({ action: 'add-instance', short: 'c' });
    expect(stepsOf(decision)).toEqual(adding);
    expect(decision).toMatchObject({ plan: { instancesAfter: expect.arrayContaining(['api-c']), steps: expect.arrayContaining([expect.objectContaining({ name: 'add', port: 4103, portFixed: false })]) } });
  });
  test('gets the port that was asked for', () => expect(plan({ action: 'add-instance', short: 'c', port: 5000 })).toMatchObject({ plan: { steps: expect.arrayContaining([expect.objectContaining({ name: 'add', port: 5000, portFixed: true })]) } }));
  test.each([['that of a twin', 4101], ['that of the setup instance', 4100], ['the router’s', 4000]])('is refused a port that is taken: %s', (_whose, port) => expect(stepsOf(plan({ action: 'add-instance', short: 'c', port }))).toEqual(['port_taken']));
  test.each(['C', 'c/../d', '-c', 'c-green', '', 'a'.repeat(32)])('is refused the name %p', (short) => expect(stepsOf(plan({ action: 'add-instance', short }))).toEqual(['instance_name_invalid']));
  test('that the manifest declares is refused', () => expect(stepsOf(plan({ action: 'add-instance', short: 'a' }))).toEqual(['instance_declared']));
  test('asked for twice is there already', () => expect(stepsOf(plan({ action: 'add-instance', short: 'c' }, withC()))).toEqual(['unchanged']));
  test('asked for on another port than it has is refused', () => expect(stepsOf(plan({ action: 'add-instance', short: 'c', port: 5000 }, withC()))).toEqual(['instance_exists']));
  test('whose first run died half-way is added again', () => expect(stepsOf(plan({ action: 'add-instance', short: 'c' }, withState({ extras: [{ ...extraC, settled: false }] })))).toEqual(adding));
});

describe('an instance that is taken away', () => {
  test('is drained, stopped and forgotten, once the others are proven', () =>
    expect(stepsOf(plan({ action: 'remove-instance', short: 'c' }, withC()))).toEqual(['open-intent', 'arm-recovery', 'drain api-c', 'retire api-c', 'verify-health', 'forget api-c', 'close-intent']));
  test('has to be one that was added', () => expect(plan({ action: 'remove-instance', short: 'a' })).toMatchObject({ reason: { code: 'instance_declared', hint: expect.stringContaining('fairlead.yaml') } }));
  test('has to be there', () => expect(plan({ action: 'remove-instance', short: 'x' }, withC())).toMatchObject({ reason: { code: 'unknown_instance', hint: 'Added instances: api-c.' } }));
  test('stays while no other one serves', () => expect(stepsOf(plan({ action: 'remove-instance', short: 'c' }, { ...withC(), processes: { ...withC().processes, ...dead(a, b).processes, ['api-c' as InstanceName]: running() } }))).toEqual(['twin_down']));
});

describe('every request is refused', () => {
  const intent: Intent = { schema: 1, runId: 'run-0' as RunId, fence: 1, kind: 'update-apply', product: base.product, phase: 'installed', fromReleaseId: 'r0' as ReleaseId, toReleaseId: 'r1' as ReleaseId, openedAt: '', backupPath: null, stranded: null };
  const reason = { class: 'host', code: 'x', message: 'stuck' } as const;
  const cases: readonly [string, Partial<ServiceInspection>, Partial<Wish>, string][] = [
    ['on a stranded host', { intent: { ...intent, stranded: reason } }, {}, 'host_stranded'],
    ['on a host that a dead run left between two releases', { intent }, {}, 'host_between_releases'],
    ['where nothing is installed', { state: null, manifest: null }, {}, 'nothing_installed'],
    ['for a service that the release does not have', {}, { service: 'apy' }, 'unknown_service'],
    ['for an instance that the service does not have', {}, { instances: ['api-x' as InstanceName] } as Partial<Wish>, 'unknown_instance'],
  ];
  test.each(cases)('%s, with a hint', (_where, change, wish, code) => {
    expect(plan({ action: 'restart', ...wish } as Wish, change)).toMatchObject({ kind: 'refuse', reason: { code, hint: expect.stringMatching(/./) } });
  });
  test('but not because an earlier restart died', () => expect(stepsOf(plan({ action: 'restart' }, { intent: { ...intent, kind: 'restart', fromReleaseId: 'r1' as ReleaseId } }))).toHaveLength(12));
});
