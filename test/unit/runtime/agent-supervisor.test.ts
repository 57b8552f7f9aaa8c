import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createSupervisor } from '../../../src/runtime/agent/supervisor.ts';
import { createActJournal } from '../../../src/runtime/agent/acts.ts';
import { createCommandTraffic } from '../../../src/runtime/agent/traffic.ts';
import type { Sight } from '../../../src/runtime/agent/sight.ts';
import type { InstanceName, ProductName, ReleaseId, RunId } from '../../../src/domain/ids.ts';
import type { Intent } from '../../../src/domain/host/state.ts';
import type { HealingPolicy } from '../../../src/domain/host/healing.ts';
import { createFakeHost } from '../../support/fake-host.ts';
import { eventually } from '../../support/eventually.ts';
import { createHostRoot } from '../../support/host-root.ts';

const shop = 'shop' as ProductName;
const intent: Intent = { schema: 1, runId: 'run-7' as RunId, fence: 7, kind: 'update-apply', product: shop, phase: 'installed', fromReleaseId: 'r1' as ReleaseId, toReleaseId: 'r2' as ReleaseId, openedAt: '2026-01-01T00:00:00.000Z', backupPath: null, stranded: null };

let place: Awaited<ReturnType<typeof createHostRoot>>;
beforeEach(async () => {
  place = await createHostRoot();
});
afterEach(() => place.end());

async function setUp({ policy = 'heal' as HealingPolicy, sight }: { policy?: HealingPolicy; sight?: Sight } = {}) {
  const fake = createFakeHost();
  const conf = join(place.root, 'api-a.conf');
  await fs.writeFile(conf, '', { mode: 0o600 });
  const memory = { intent: null as Intent | null, products: [shop] as ProductName[] };
  const host = { ...fake.dependencies, root: place.root, store: { ...fake.dependencies.store, products: async () => memory.products, readIntent: async () => memory.intent } };
  const said: string[] = [];
  const log = (fields: object, message: string): void => void said.push(`${message} ${JSON.stringify(fields)}`);
  const working = { now: 0, most: 0, looks: 0 };
  const traffic = createCommandTraffic(undefined);
  const acts = createActJournal(place.root);
  const dead = new Set<InstanceName>();
  const see: Sight = async () => ({
    current: { target: 'releases/r1', releaseId: 'r1' as ReleaseId, complete: true },
    instances: Object.fromEntries(Object.keys(fake.state.instances).map((name) => [name, { status: dead.has(name as InstanceName) ? 'failed' : 'active', releaseId: dead.has(name as InstanceName) ? null : ('r1' as ReleaseId), lastExit: null }])) as never,
    modes: [{ path: conf, mode: (await fs.stat(conf)).mode & 0o7777 }],
    router: { status: 'serves', detail: '' },
  });
  const counted: Sight = async (...args) => {
    working.looks += 1;
    working.now += 1;
    working.most = Math.max(working.most, working.now);
    try {
      return await (sight ?? see)(...args);
    } finally {
      working.now -= 1;
    }
  };
  let told = 0;
  const supervisor = createSupervisor({
    host, sight: counted, traffic, acts, everyMs: 5, policy, logger: { info: log, warn: log, error: log }, exclusively: (_product, work) => work(), endedRuns: new Set(), tell: () => void (told += 1),
  });
  const looked = async (more = 3) => {
    const from = working.looks;
    await eventually('more looks', () => working.looks >= from + more);
  };
  return { supervisor, traffic, acts, conf, memory, dead, said, working, told: () => told, looked, see };
}

test('a finding is said once when it comes and once when it goes, however often it is looked at, and control is told each time and once more to confirm', async () => {
  const s = await setUp();
  s.supervisor.start();
  s.dead.add('api-b' as InstanceName);
  await eventually('it is found', () => s.supervisor.findings(shop).length === 1);
  const { since } = s.supervisor.findings(shop)[0] ?? {};
  await s.looked(5);
  expect(s.supervisor.findings(shop)).toEqual([expect.objectContaining({ kind: 'instance_dead', subject: 'api-b', since })]);
  s.dead.clear();
  await eventually('it is gone', () => s.supervisor.findings(shop).length === 0);
  await s.looked(3);
  await s.supervisor.stop();
  expect(s.said.map((line) => line.split(' {')[0])).toEqual([expect.stringMatching(/^drift: api-b should run r1/), 'drift is gone']);
  expect(s.told()).toBe(4);
});

test('a look that takes long is not overtaken by the next one', async () => {
  const s = await setUp({ sight: () => new Promise((_resolve, reject) => setTimeout(() => reject(new Error('the disk is slow')), 40)) });
  s.supervisor.start();
  await s.looked(3);
  await s.supervisor.stop();
  expect(s.working.most).toBe(1);
});

test('a look that fails is said once, and the next one works again', async () => {
  let broken = true;
  const inner = await setUp();
  await inner.supervisor.stop();
  const s = await setUp({ sight: (...args) => (broken ? Promise.reject(new Error('no disk')) : inner.see(...args)) });
  s.supervisor.start();
  await s.looked(4);
  broken = false;
  s.dead.add('api-b' as InstanceName);
  inner.dead.add('api-b' as InstanceName);
  await eventually('it is found', () => s.supervisor.findings(shop).length === 1);
  await s.supervisor.stop();
  expect(s.said.filter((line) => line.includes('no disk'))).toHaveLength(1);
});

test('while a run is under way, and while a command is at work, nothing that it may be changing is told, and no file is touched during the command', async () => {
  const s = await setUp();
  s.memory.intent = intent;
  s.dead.add('api-b' as InstanceName);
  s.supervisor.start();
  await s.looked(3);
  expect(s.supervisor.findings(shop)).toEqual([]);
  s.memory.intent = null;
  await s.traffic.around({ name: 'restartInstance', attempt: 1, input: { run: { product: shop } } }, async () => {
    await fs.chmod(s.conf, 0o644);
    await s.looked(3);
    expect(s.supervisor.findings(shop).map(({ kind }) => kind)).toEqual(['config_mode']);
    expect((await fs.stat(s.conf)).mode & 0o777).toBe(0o644);
  });
  await eventually('the mode is right', async () => ((await fs.stat(s.conf)).mode & 0o777) === 0o600);
  await eventually('it is found', () => s.supervisor.findings(shop).some(({ kind }) => kind === 'instance_dead'));
  await s.supervisor.stop();
});

test('a mode is put right once it is written down; by policy report it is only told', async () => {
  const s = await setUp();
  await fs.chmod(s.conf, 0o666);
  s.supervisor.start();
  await eventually('the mode is right', async () => ((await fs.stat(s.conf)).mode & 0o777) === 0o600);
  await s.supervisor.stop();
  expect(await s.acts.read(shop)).toEqual([expect.objectContaining({ act: 'healed', kind: 'config_mode', subject: s.conf, note: 'mode 0666 -> 0600' })]);
  await s.acts.forget(shop, (await s.acts.read(shop)).map(({ id }) => id));
  expect(await s.acts.read(shop)).toEqual([]);

  const only = await setUp({ policy: 'report' });
  await fs.chmod(only.conf, 0o666);
  only.supervisor.start();
  await eventually('it is found', () => only.supervisor.findings(shop).length === 1);
  await only.looked(2);
  await only.supervisor.stop();
  expect([(await fs.stat(only.conf)).mode & 0o777, await only.acts.read(shop)]).toEqual([0o666, []]);
});

test('a conf file that is a symbolic link is not followed: a person is asked for', async () => {
  const s = await setUp();
  await fs.rm(s.conf);
  await fs.writeFile(join(place.root, 'elsewhere'), '', { mode: 0o644 });
  await fs.symlink('elsewhere', s.conf);
  s.supervisor.start();
  await eventually('it is found', () => s.supervisor.findings(shop).length === 1);
  await s.looked(3);
  await s.supervisor.stop();
  expect(s.supervisor.findings(shop)).toEqual([expect.objectContaining({ kind: 'config_mode', heal: 'person' })]);
  expect([s.said.filter((line) => line.startsWith('could not')).length, await s.acts.read(shop)]).toEqual([1, []]);
  expect((await fs.stat(join(place.root, 'elsewhere'))).mode & 0o777).toBe(0o644);
});
