import { createDatabase, createStores, migrate, type Database, type Stores } from '../../src/adapters/postgres/index.ts';
import type { HostId, ProductName, ReleaseId, RolloutId, RunId } from '../../src/domain/ids.ts';
import { outlineOf } from '../../src/domain/rollout/outline.ts';
import { planRollout, type RolloutPlan } from '../../src/domain/rollout/plan.ts';
import { rolloutRequest, type RolloutRequest } from '../../src/domain/rollout/request.ts';
import type { FleetHost } from '../../src/domain/rollout/fleet.ts';
import type { RolloutStanding } from '../../src/domain/rollout/standing.ts';
import type { HostEnding } from '../../src/ports/rollout-store.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';

const product = 'lab' as ProductName;
const at = '2026-01-01T00:00:00.000Z';
const id = (number: number): RolloutId => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}` as RolloutId;
const request = (more: Partial<RolloutRequest> = {}): RolloutRequest => rolloutRequest({ product, releaseId: 'r2' as ReleaseId, requestedBy: 'ci (admin)', requestId: 'q', ...more });
const host = (name: string, more: Partial<FleetHost> = {}): FleetHost => ({ host: name as HostId, role: 'node', status: 'connected', releaseId: 'r1' as ReleaseId, failedReleaseIds: [], stranded: false, ...more });
const standing = (more: Partial<RolloutStanding> = {}): RolloutStanding => ({ phase: 'Rolling', status: 'rolling', wave: 1, behind: null, waiting: null, counts: [], ...more });
const ending = (name: string, more: Partial<HostEnding> = {}): HostEnding => ({ host: name as HostId, direction: 'forward', outcome: 'updated', reason: null, runId: 'run-1' as RunId, observed: { releaseId: 'r2' as ReleaseId, bootId: 'b', at }, recovery: null, ...more });

let postgres: TestPostgres;
let database: Database;
let stores: Stores;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.end());
beforeEach(async () => {
  database = createDatabase(await postgres.createDatabase(), { poolSize: 4, connectTimeoutMs: 2_000 });
  await migrate(database);
  stores = createStores(database);
});
afterEach(() => database?.close());

async function planned(rolloutId: RolloutId, fleet: readonly FleetHost[], asked = request()): Promise<RolloutPlan> {
  const decision = planRollout(fleet, asked, at);
  if (decision.kind !== 'plan') throw new Error(JSON.stringify(decision));
  await stores.rollouts.open({ rolloutId, request: asked, requestedAt: at });
  await stores.rollouts.keepPlan(rolloutId, decision.plan, outlineOf(decision.plan, asked), { controller: 'full', node: 'small' });
  return decision.plan;
}

describe('rollouts in PostgreSQL', () => {
  const three = [host('c1', { role: 'controller' }), host('n1'), host('n2'), host('n3', { releaseId: 'r2' as ReleaseId }), host('n4', { status: 'maintenance' })];

  test('opened twice, it is there once; those of the product before it are found, oldest first, until they have ended', async () => {
    for (const number of [1, 2, 3, 3]) await stores.rollouts.open({ rolloutId: id(number), request: request(), requestedAt: at });
    await stores.rollouts.open({ rolloutId: id(9), request: request({ product: 'other' as ProductName }), requestedAt: at });
    expect((await stores.rollouts.openBefore(id(3), product)).map(({ rolloutId }) => rolloutId)).toEqual([id(1), id(2)]);
    await stores.rollouts.close(id(1), { outcome: 'failed', ok: false, reason: null, at, standing: standing({ phase: 'Ended' }) });
    expect((await stores.rollouts.openBefore(id(3), product)).map(({ rolloutId }) => rolloutId)).toEqual([id(2)]);
    expect((await stores.rollouts.list({ limit: 10 })).map(({ rolloutId }) => rolloutId)).toEqual([id(9), id(3), id(2), id(1)]);
    expect((await stores.rollouts.list({ product, open: true, limit: 10, before: id(3) })).map(({ rolloutId }) => rolloutId)).toEqual([id(2)]);
  });

  test('the plan lies by wave and position, with the profile of each role; what is in no wave has ended', async () => {
    await planned(id(1), three, request({ strategy: { ...request().strategy, waves: { by: 'count', hosts: 1 } } }));
    expect((await stores.rollouts.hosts(id(1), { limit: 10 })).map((each) => [each.host, each.wave, each.position, each.artifactProfile, each.outcome])).toEqual([
      ['c1', 0, 0, 'full', null],
      ['n1', 1, 0, 'small', null],
      ['n2', 2, 0, 'small', null],
      ['n3', null, null, 'small', 'unchanged'],
      ['n4', null, null, 'small', 'skipped'],
    ]);
    expect((await stores.rollouts.shardRows(id(1), 2, 0, 500)).map(({ host: name, action, outcome }) => [name, action, outcome])).toEqual([['n2', 'update', null]]);
  });

  test('pages go through all hosts, also those in no wave, each once', async () => {
    await planned(id(1), three);
    const seen: string[] = [];
    for (let after: HostId | undefined; ; ) {
      const [next] = await stores.rollouts.hosts(id(1), { limit: 1, ...(after ? { after } : {}) });
      if (!next) break;
      seen.push(next.host);
      after = next.host;
    }
    expect(seen).toEqual(['c1', 'n1', 'n2', 'n3', 'n4']);
  });

  test('planned anew before a host has ended: the newer plan holds; afterwards the plan stays', async () => {
    await planned(id(1), three);
    await planned(id(1), [host('n7')]);
    expect((await stores.rollouts.hosts(id(1), { limit: 10 })).map((each) => each.host)).toEqual(['n7']);
    await stores.rollouts.settle(id(1), [ending('n7')]);
    await planned(id(1), three);
    expect((await stores.rollouts.hosts(id(1), { limit: 10 })).map((each) => each.host)).toEqual(['n7']);
  });

  test('a host’s end is kept, told twice it is the same; its way back keeps what was seen on the way forward', async () => {
    await planned(id(1), three);
    for (let turn = 0; turn < 2; turn += 1) await stores.rollouts.settle(id(1), [ending('n1')]);
    await stores.rollouts.settle(id(1), [ending('n1', { direction: 'back', outcome: 'returned', runId: 'run-2' as RunId, observed: null })]);
    const [row] = await stores.rollouts.hosts(id(1), { outcome: 'returned', limit: 10 });
    expect(row).toMatchObject({ host: 'n1', outcome: 'returned', runId: 'run-1', backRunId: 'run-2', observed: { releaseId: 'r2' } });
  });

  test('who waits for a rollout is found by it; an ended one keeps its last standing and its first end', async () => {
    for (const number of [1, 2]) await stores.rollouts.open({ rolloutId: id(number), request: request(), requestedAt: at });
    await stores.rollouts.keepStanding(id(2), standing({ phase: 'Queued', status: 'queued', behind: id(1) }));
    expect(await stores.rollouts.queuedBehind(id(1))).toEqual([id(2)]);
    await stores.rollouts.close(id(1), { outcome: 'failed', ok: false, reason: null, at, standing: standing({ phase: 'Ended', status: 'ended' }) });
    await stores.rollouts.close(id(1), { outcome: 'succeeded', ok: true, reason: null, at, standing: standing() });
    await stores.rollouts.keepStanding(id(1), standing({ status: 'paused' }));
    expect(await stores.rollouts.find(id(1))).toMatchObject({ outcome: 'failed', ok: false, standing: { status: 'ended' } });
    await stores.rollouts.keepStanding(id(2), standing());
    expect(await stores.rollouts.queuedBehind(id(1))).toEqual([]);
  });

  test('ten thousand hosts are planned and paged', async () => {
    const many = Array.from({ length: 10_000 }, (_, number) => host(`n${String(number).padStart(5, '0')}`));
    await planned(id(1), many);
    expect(await stores.rollouts.shardRows(id(1), 3, 400, 500)).toHaveLength(500);
    expect(await stores.rollouts.hosts(id(1), { limit: 1_000, after: 'n08999' as HostId })).toHaveLength(1_000);
  }, 120_000);

  test('a freeze holds until it is lifted or over', async () => {
    await stores.rollouts.setFreeze({ id: 'f1', product, reason: 'Christmas', setBy: 'ops', since: at, until: '2026-01-02T00:00:00.000Z' });
    expect((await stores.rollouts.freezes('2026-01-01T12:00:00.000Z')).map((freeze) => freeze.id)).toEqual(['f1']);
    expect(await stores.rollouts.freezes('2026-01-02T00:00:01.000Z')).toEqual([]);
    expect([await stores.rollouts.liftFreeze('f1', '2026-01-01T13:00:00.000Z'), await stores.rollouts.liftFreeze('f1', '2026-01-01T14:00:00.000Z')]).toEqual([true, false]);
  });
});
