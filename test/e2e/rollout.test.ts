import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { RolloutHost } from '../../src/contract/index.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { eventually } from '../support/eventually.ts';
import { brokenActivation } from '../support/invariants.ts';
import { startDevProgram } from '../support/killable-dev.ts';

const nodes = 9;
/** Whatever is tried beside the whole fleet needs few hosts. The controller is among them: nodes come after it. */
const few = ['h1', 'h2', 'h3', 'h4'];
const ends = (hosts: readonly RolloutHost[]): Record<string, string | null> => Object.fromEntries(hosts.map(({ host, outcome }) => [host, outcome]));

describe('a release across a fleet', () => {
  let fleet: Fleet;
  let count = 1;
  beforeAll(async () => {
    fleet = await startFleet({ nodes, start: startDevProgram, replace: { env: { FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEAL: 'report', FAIRLEAD_SUPERVISE_SECONDS: '1', FAIRLEAD_STICKY_TIMEOUT_MS: '300' } } });
    await fleet.release('r1');
    await Promise.all(fleet.hosts.map(async (host) => expect((await fleet.apply(host, 'r1')).outcome).toBe('succeeded')));
  }, 300_000);
  afterAll(() => fleet?.end(), 60_000);

  /** A release that nobody has yet. */
  async function next(faults?: Record<string, unknown>): Promise<string> {
    count += 1;
    await fleet.release(`r${count}`, faults);
    return `r${count}`;
  }
  const rootOf = (host: string) => fleet.dev.summary.hosts.find((known) => known.host === host)?.root as string;
  const releaseOf = async (host: string) => (await fleet.state(host)).activeReleaseId;
  const others = (...but: string[]) => fleet.hosts.filter((host) => !but.includes(host));
  /** A host whose agent does not come back until it is let. The supervisor starts it again and again: it is held by a stopped process. */
  async function away<Result>(host: string, act: () => Promise<Result>): Promise<Result> {
    const pid = fleet.dev.pids()[`agent-${host}`] as number;
    process.kill(pid, 'SIGSTOP');
    try {
      await eventually(`${host} is disconnected`, async () => (await fleet.ask<{ status: string }>('GET', `/api/hosts/${host}`)).body.status !== 'connected', 120_000);
      return await act();
    } finally {
      process.kill(pid, 'SIGCONT');
      await eventually(`${host} is connected`, async () => (await fleet.ask<{ status: string }>('GET', `/api/hosts/${host}`)).body.status === 'connected', 120_000);
    }
  }
  /** The instances of a host crash at their start, on every release, until it is mended. */
  async function broken<Result>(host: string, act: () => Promise<Result>): Promise<Result> {
    const file = join(fleet.layout(host).stateRoot, 'data', 'faults.json');
    await fs.writeFile(file, JSON.stringify({ crashAtStart: true, releases: [`r${count}`] }));
    try {
      return await act();
    } finally {
      await fs.rm(file, { force: true });
    }
  }

  test('every host is updated, the controller first, each verified by what control saw of it: ok, and exit code 0', async () => {
    const releaseId = await next();
    const plan = await fleet.fairlead('rollout', 'plan', releaseId, '--waves', 'count:3');
    expect(plan.stdout).toContain('10 hosts in 4 waves');
    expect(plan.stdout).toContain('h1: open-intent, download, verify, extract');
    const { exitCode, stdout } = await fleet.fairlead('rollout', 'start', releaseId, '--waves', 'count:3', '--bake-seconds', '0', '--max-parallel', '3', '--host-bake-seconds', '0', '--json');
    const result = JSON.parse(stdout) as { ok: boolean; hosts: { host: string; artifactRole: string; artifactProfile: string; from: string; to: string; outcome: string; verification: { releaseId: string } | null; recovery: unknown }[] };
    expect([exitCode, result.ok]).toEqual([0, true]);
    expect(result.hosts.map(({ host, artifactRole, artifactProfile, from, to, outcome, recovery }) => [host, artifactRole, artifactProfile, from, to, outcome, recovery])).toEqual([
      ['h1', 'controller', 'controller-runtime', 'r1', releaseId, 'updated', null],
      // In the order of their names.
      ...others('h1').sort().map((host) => [host, 'node', 'node-runtime', 'r1', releaseId, 'updated', null]),
    ]);
    expect(result.hosts.map(({ verification }) => verification?.releaseId)).toEqual(fleet.hosts.map(() => releaseId));
    for (const host of fleet.hosts) expect([await releaseOf(host), await brokenActivation(rootOf(host), fleet.product)]).toEqual([releaseId, []]);
  }, 300_000);

  test('asked again, it finds nothing to do', async () => {
    const rollout = await fleet.ended(await fleet.rollOut(`r${count}`));
    expect([rollout.outcome, rollout.ok, rollout.unchanged]).toEqual(['succeeded', true, nodes + 1]);
  }, 240_000);

  test('a plan that was looked at is refused when the fleet has moved since', async () => {
    const releaseId = await next();
    const file = join(fleet.dir, 'plan.json');
    expect((await fleet.fairlead('rollout', 'plan', releaseId, '--hosts', 'h1,h2', '-o', file)).exitCode).toBe(0);
    expect((await fleet.apply('h2', releaseId)).outcome).toBe('succeeded');
    await eventually('control knows of it', async () => (await fleet.ask<{ products: { currentReleaseId: string }[] }>('GET', '/api/hosts/h2')).body.products[0]?.currentReleaseId === releaseId, 60_000);
    const { exitCode, stderr } = await fleet.fairlead('rollout', 'start', '--plan', file);
    expect([exitCode, stderr]).toEqual([3, expect.stringContaining('no longer as it was')]);
    expect((await fleet.ended(await fleet.rollOut(releaseId, { hosts: few }))).ok).toBe(true);
  }, 240_000);

  test('a host that cannot be reached: skipped, waited for, or a failure, as the policy says; ok only where it was updated', async () => {
    const releaseId = await next();
    await away('h6', async () => {
      const skipped = await fleet.ended(await fleet.rollOut(releaseId, { hosts: ['h1', 'h2', 'h6'], strategy: { offline: { policy: 'skip' } } }));
      expect([skipped.outcome, skipped.ok, skipped.skipped]).toEqual(['partial', false, 1]);
      const failed = await fleet.rollOut(releaseId, { hosts: ['h1', 'h6'], strategy: { offline: { policy: 'fail' }, budget: { count: 0, percent: null } } });
      expect([(await fleet.ended(failed)).outcome, ends(await fleet.rolloutHosts(failed))]).toEqual(['failed', { h1: 'unchanged', h6: 'offline' }]);
    });
    const waited = await away('h6', async () => {
      const id = await fleet.rollOut(releaseId, { hosts: ['h1', 'h3', 'h6'], strategy: { waves: { by: 'count', hosts: 10 }, offline: { policy: 'wait', waitSeconds: 600, then: 'fail' } } });
      await eventually('the others are done', async () => (await fleet.rolloutHosts(id)).filter(({ host, outcome }) => host !== 'h6' && outcome === null).length === 0, 180_000);
      expect((await fleet.rollout(id)).endedAt).toBeNull();
      return id;
    });
    expect([(await fleet.ended(waited)).ok, ends(await fleet.rolloutHosts(waited))['h6']]).toEqual([true, 'updated']);
  }, 420_000);

  test('a host fails its health: it is rolled back and counted; past the budget the rollout stops, and updated hosts are taken back', async () => {
    const releaseId = await next();
    const before = [await releaseOf('h2'), await releaseOf('h4')];
    await broken('h4', async () => {
      const borne = await fleet.rollOut(releaseId, { hosts: ['h1', 'h4'], strategy: { budget: { count: 1, percent: null } } });
      const rollout = await fleet.ended(borne);
      expect([rollout.outcome, rollout.ok, ends(await fleet.rolloutHosts(borne))]).toEqual(['partial', false, { h1: 'updated', h4: 'rolled_back' }]);
      const spent = await fleet.rollOut(releaseId, { hosts: [...few, 'h5'], allowFailed: true, reason: 'a test', strategy: { waves: { by: 'count', hosts: 3 }, maxParallel: 3, budget: { count: 0, percent: null }, onFailure: 'roll-back-all' } });
      const ended = await fleet.ended(spent);
      expect([ended.outcome, ended.reason?.code]).toEqual(['rolled_back', 'budget_exceeded']);
      expect(ends(await fleet.rolloutHosts(spent))).toEqual({ h1: 'unchanged', h2: 'returned', h3: 'returned', h4: 'rolled_back', h5: null });
    });
    expect([await releaseOf('h2'), await releaseOf('h4')]).toEqual(before);
    const again = await fleet.ended(await fleet.rollOut(releaseId, { hosts: few, allowFailed: true, reason: 'a test' }));
    expect([again.outcome, again.ok]).toEqual(['succeeded', true]);
  }, 420_000);

  test('paused, it stays paused over a restart of control and Temporal, and goes on when it is resumed', async () => {
    const releaseId = await next();
    const id = await fleet.rollOut(releaseId, { hosts: few, strategy: { waves: { by: 'count', hosts: 1 } } });
    await fleet.until(id, 'has a node done', ({ waves }) => (waves[1]?.counts.updated ?? 0) > 0);
    expect((await fleet.command(id, 'pause', { comment: 'lunch' })).status).toBe(200);
    for (const name of ['control', 'temporal', 'api']) process.kill(fleet.dev.pids()[name] as number, 'SIGKILL');
    const paused = await fleet.until(id, 'is paused', ({ standing }) => standing.status === 'paused' && standing.waiting?.for.includes('lunch') === true);
    expect(paused.standing.waiting).toMatchObject({ for: expect.stringContaining('paused by'), release: expect.stringContaining('resume') });
    await eventually('hosts in flight have ended', async () => (await fleet.rolloutHosts(id)).every(({ outcome, openRunId }) => outcome !== null || openRunId === null), 120_000);
    const done = (await fleet.rolloutHosts(id)).filter(({ outcome }) => outcome !== null).length;
    expect(done).toBeLessThan(few.length);
    await eventually('it can be resumed', async () => (await fleet.command(id, 'resume', { comment: 'lunch is over' }).catch(() => ({ status: 0 }))).status === 200, 60_000);
    expect((await fleet.ended(id)).ok).toBe(true);
  }, 300_000);

  /** Guarantee 11. */
  test('a gate waits for somebody else than who asked; why tells; approved by another key it opens', async () => {
    const releaseId = await next();
    const gates = [{ kind: 'approval' as const, name: 'go', before: 'between' as const, role: 'admin', quorum: 1, commentRequired: true }];
    const id = await fleet.rollOut(releaseId, { hosts: ['h1', 'h2'], strategy: { waves: { by: 'count', hosts: 10 }, gates } });
    await fleet.until(id, 'is gated', ({ standing }) => standing.status === 'gated');
    const why = await fleet.fairlead('rollout', 'why', id);
    expect(why.stdout).toContain('gate go: 0 of 1 approvals');
    expect(why.stdout).toContain('not who asked for the rollout');
    await eventually('the audit says that somebody is needed', async () => JSON.stringify((await fleet.ask('GET', '/api/audit?limit=1000')).body).includes('"rollout.approval_needed"'), 60_000);
    const own = await fleet.command(id, 'approve', { gate: 'go', comment: 'mine' });
    expect([own.status, own.body.code]).toEqual([403, 'approver_is_requester']);
    const { body } = await fleet.ask<{ text: string }>('POST', '/api/keys', { name: 'second', role: 'admin' });
    const asSecond = async (text: object) => (await fetch(new URL(`/api/rollouts/${id}/approve`, fleet.dev.summary.api), { method: 'POST', headers: { authorization: `Bearer ${body.text}`, 'content-type': 'application/json' }, body: JSON.stringify(text) })).status;
    expect(await asSecond({ gate: 'go' })).toBe(400);
    expect(await asSecond({ gate: 'go', comment: 'looks well' })).toBe(200);
    expect((await fleet.ended(id)).ok).toBe(true);
    const audit = await fleet.fairlead('audit', 'list', '--json');
    expect(audit.stdout).toContain('rollout.approve');
  }, 240_000);

  test('a metric without data is waited for; a bad one fails the rollout, a good one opens the gate', async () => {
    const releaseId = await next();
    let value: string | null = null;
    const prometheus: Server = createServer((_request, answer) => {
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result: value === null ? [] : [{ metric: {}, value: [0, value] }] } }));
    });
    await new Promise<void>((resolve) => prometheus.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(prometheus.address() as AddressInfo).port}`;
      const strategy = { waves: { by: 'count' as const, hosts: 10 }, gates: [{ kind: 'metric' as const, name: 'errors', before: 'between' as const, url, query: 'errors', max: 0.01, everySeconds: 1 }] };
      const id = await fleet.rollOut(releaseId, { hosts: ['h1', 'h2'], strategy });
      const gated = await fleet.until(id, 'waits for data', ({ standing }) => standing.waiting?.for.includes('no value') === true);
      expect(gated.standing.status).toBe('gated');
      value = '0.5';
      expect([(await fleet.ended(id)).outcome, (await fleet.rollout(id)).reason?.code]).toEqual(['failed', 'gate_failed']);
      value = '0.001';
      const next = await fleet.rollOut(releaseId, { hosts: ['h1', 'h2'], strategy: { ...strategy, gates: strategy.gates.map((gate) => ({ ...gate, before: 'all' as const })) } });
      expect((await fleet.ended(next)).ok).toBe(true);
    } finally {
      await new Promise((resolve) => prometheus.close(resolve));
    }
  }, 300_000);

  test('a window closes in the middle of a wave: hosts in flight finish, the wave parks, and goes on when it opens', async () => {
    const releaseId = await next();
    // Open for every other minute. The hosts of the wave need longer than what is left of the one that is taken.
    const left = 60 - new Date().getUTCSeconds();
    const [minute, openSeconds] = left < 20 ? [new Date().getUTCMinutes() + 1, 60] : [new Date().getUTCMinutes(), left];
    const gates = [{ kind: 'window' as const, name: 'night', before: 'all' as const, window: { cron: `${minute % 2}-59/2 * * * *`, zone: 'UTC', durationSeconds: 60 } }];
    const id = await fleet.rollOut(releaseId, { hosts: ['h2', 'h3', 'h4'], strategy: { waves: { by: 'count', hosts: 10 }, maxParallel: 1, controllerFirst: false, gates }, onHost: { bakeSeconds: Math.ceil(openSeconds / 5) } });
    const parked = await fleet.until(id, 'is parked', ({ standing }) => standing.status === 'parked', 180_000);
    expect(parked.standing.waiting).toMatchObject({ for: expect.stringContaining('window'), until: expect.any(String), release: expect.stringContaining('window') });
    await eventually('hosts in flight have ended', async () => (await fleet.rolloutHosts(id)).every(({ outcome, openRunId }) => outcome !== null || openRunId === null), 120_000);
    const rollout = await fleet.ended(id, 600_000);
    expect([rollout.outcome, rollout.ok]).toEqual(['succeeded', true]);
  }, 900_000);

  test('while a freeze lasts, none begins; a newer one supersedes it, or waits behind it', async () => {
    const [first, second, third] = [await next(), await next(), await next()] as const;
    const { body: freeze } = await fleet.ask<{ id: string }>('POST', '/api/freezes', { reason: 'Christmas', until: new Date(Date.now() + 3_600_000).toISOString() });
    const hosts = ['h1', 'h2'];
    const frozen = await fleet.rollOut(first, { hosts });
    expect((await fleet.until(frozen, 'is frozen', ({ standing }) => standing.status === 'frozen')).standing.waiting?.for).toContain('Christmas');
    expect((await fleet.ask('POST', '/api/rollouts', { product: fleet.product, releaseId: second, hosts })).status).toBe(202);
    const newer = await fleet.rollOut(second, { hosts, whenBusy: 'supersede' });
    expect((await fleet.ended(frozen)).outcome).toBe('superseded');
    const queued = await fleet.rollOut(third, { hosts, whenBusy: 'queue' });
    expect((await fleet.until(queued, 'is queued', ({ standing }) => standing.status === 'queued')).standing.waiting?.for).toContain(newer);
    expect((await fleet.ask('DELETE', `/api/freezes/${freeze.id}`, undefined, { 'fairlead-reason': 'a%20test' })).status).toBe(200);
    expect([(await fleet.ended(newer)).ok, (await fleet.ended(queued)).ok]).toEqual([true, true]);
    for (const host of hosts) expect(await releaseOf(host)).toBe(third);
  }, 300_000);

  /** Guarantee 9. */
  test('control, API, Temporal and PostgreSQL are killed in the middle of a rollout: it ends, and no host was updated twice', async () => {
    const releaseId = await next();
    const id = await fleet.rollOut(releaseId, { hosts: few, strategy: { waves: { by: 'count', hosts: 3 } } });
    await fleet.until(id, 'has nodes under way', ({ standing }) => standing.wave === 1);
    for (const name of ['control', 'api', 'temporal', 'postgres']) process.kill(fleet.dev.pids()[name] as number, 'SIGKILL');
    const rollout = await fleet.ended(id, 240_000);
    expect([rollout.outcome, rollout.ok]).toEqual(['succeeded', true]);
    for (const host of few) {
      const { body } = await fleet.ask<{ runs: { toReleaseId: string; outcome: string }[] }>('GET', `/api/runs?host=${host}&limit=20`);
      expect([host, body.runs.filter((run) => run.toReleaseId === releaseId).map(({ outcome }) => outcome)]).toEqual([host, ['succeeded']]);
    }
  }, 420_000);
});
