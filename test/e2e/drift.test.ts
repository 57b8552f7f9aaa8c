import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { routerStateOf, specOf } from '../../activities/host/instance-spec.ts';
import { findByEnvironment, signalProcess, waitForEnd, type ScannedProcess } from '../../src/adapters/process/proc.ts';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import { routerFiles } from '../../src/adapters/router/embedded/commands.ts';
import { configOf } from '../../src/adapters/router/embedded/config.ts';
import { askUnixSocket } from '../../src/adapters/router/unix-socket.ts';
import { createEmbeddedServiceManager } from '../../src/adapters/service-manager/embedded/index.ts';
import type { HostDetail } from '../../src/contract/index.ts';
import { completeMark } from '../../src/domain/host/layout.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { startLoad } from '../support/load.ts';
import { shortStart, startStack, type Stack } from '../support/stack.ts';

const [apiA, apiB, webA] = ['api-a', 'api-b', 'web-a'] as InstanceName[] as [InstanceName, InstanceName, InstanceName];
const [r1, r2] = ['r1', 'r2'] as [ReleaseId, ReleaseId];
/** Far more than one loop of a second takes; a machine that is busy with other suites may need it. */
const seenMs = 30_000;

/** The web front has one instance: a repair that took it out of the router would be felt. */
async function oneWeb(directory: string): Promise<void> {
  await shortStart(directory);
  const file = join(directory, 'fairlead.yaml');
  const parts = (await fs.readFile(file, 'utf8')).split('installed: [a, b]');
  await fs.writeFile(file, `${parts[0]}installed: [a, b]${parts[1]}installed: [a]${parts.slice(2).join('installed: [a, b]')}`.replace('      b: 4022\n', '').replace(/bakeSeconds: \d+/, 'bakeSeconds: 0'));
}

/** A stack whose host h1 runs r2, after r1, and looks at itself every second. */
async function startWatched(heal: 'report' | 'heal') {
  const stack = await startStack({ replace: { env: { FAIRLEAD_SUPERVISE_SECONDS: '1', FAIRLEAD_HEAL: heal, FAIRLEAD_ROUTER: 'embedded' } } });
  try {
    const runs: string[] = [];
    for (const releaseId of [r1, r2]) {
      await stack.publish(releaseId, { edit: oneWeb });
      const report = await stack.apply('h1', releaseId, { phase: 'installed' });
      if (report.outcome !== 'succeeded') throw new Error(`${releaseId}: ${JSON.stringify(report.reason)}`);
      runs.push(report.runId);
    }
    return { stack, runs, ...watched(stack) };
  } catch (error) {
    await stack.end();
    throw error;
  }
}

function watched(stack: Stack) {
  const root = stack.dev.summary.hosts[0]?.root as string;
  const layout = stack.layout('h1');
  const releases = createReleaseStore({ root, syncTree: async () => undefined });
  const services = createEmbeddedServiceManager({ root });
  const processOf = async (instance: InstanceName): Promise<ScannedProcess> => {
    const found = await findByEnvironment({ FAIRLEAD_ROOT: root, FAIRLEAD_INSTANCE: `${stack.product}/${instance}` });
    const main = found.find(({ pid, sessionId }) => pid === sessionId);
    if (!main) throw new Error(`${instance} does not run`);
    return main;
  };
  const kill = async (victim: ScannedProcess): Promise<void> => {
    await signalProcess(victim, 'SIGKILL');
    expect(await waitForEnd(victim, 5_000)).toBe(true);
  };
  const host = async (): Promise<HostDetail> => (await stack.ask<HostDetail>('GET', '/api/hosts/h1')).body;
  const drift = async () => (await host()).products[0]?.drift ?? [];
  return {
    root,
    layout,
    releases,
    services,
    host,
    drift,
    processOf,
    kill,
    killRouter: async () => {
      const [router] = await findByEnvironment({ FAIRLEAD_ROOT: root, FAIRLEAD_ROUTER: stack.product });
      if (!router) throw new Error('no router runs');
      await kill(router);
    },
    pids: async () => Object.fromEntries(await Promise.all([apiA, apiB, webA].map(async (name) => [name, (await processOf(name).catch(() => null))?.pid ?? null]))) as Record<string, number | null>,
    specOn: async (instance: InstanceName, releaseId: ReleaseId) => specOf(root, await releases.readManifest(stack.product, releaseId), instance, (await stack.state('h1')).instances[instance]?.port ?? 0),
    moveCurrent: async (target: string) => {
      // In one step, as runs do it: a look in between would find no link at all.
      await fs.symlink(target, `${layout.currentLink}.moved`);
      await fs.rename(`${layout.currentLink}.moved`, layout.currentLink);
    },
    /** Waits until the finding is told, and gives it. */
    found: (kind: string, subject: string) => eventually(`${kind} of ${subject}`, async () => (await drift()).find((finding) => finding.kind === kind && finding.subject === subject), seenMs),
    allGone: () => eventually('nothing differs', async () => (await drift()).length === 0, seenMs),
    audit: async (event: string) => (await stack.ask<{ rows: { event: string; actor: string; detail: Record<string, unknown> }[] }>('GET', '/api/audit?limit=200')).body.rows.filter((row) => row.event === event),
  };
}
type Watched = Awaited<ReturnType<typeof startWatched>>;

describe('a host that only reports', () => {
  let w: Watched;
  beforeAll(async () => {
    w = await startWatched('report');
  }, 180_000);
  afterAll(() => w?.stack.end(), 60_000);

  interface Case {
    readonly name: string;
    readonly kind: string;
    readonly subject: () => string;
    readonly seen: RegExp;
    readonly inject: () => Promise<void>;
    readonly mend: () => Promise<void>;
  }
  const mark = () => join(w.layout.releaseDir(r2), completeMark);
  const startOn = async (instance: InstanceName, releaseId: ReleaseId) => {
    const spec = await w.specOn(instance, releaseId);
    await w.services.stop(spec);
    await w.services.start(spec);
  };
  const record = () => join(w.layout.runtimeDir, 'api-b.json');
  const handRouter = async (admitted: boolean) => {
    const state = await w.stack.state('h1');
    const entry = state.instances[apiB];
    if (!entry) throw new Error('no api-b');
    const wanted = routerStateOf(w.root, { ...state, instances: { ...state.instances, [apiB]: { ...entry, admitted } } }, await w.releases.readManifest(w.stack.product, r2));
    if (!wanted) throw new Error('no router');
    const answer = await askUnixSocket(routerFiles(w.root, w.stack.product).adminSocket, { method: 'POST', path: '/apply', body: JSON.stringify(configOf(wanted, '127.0.0.1', routerFiles(w.root, w.stack.product).webroot)), timeoutMs: 5_000 });
    expect(answer.status).toBe(200);
  };
  let kept = '';

  const cases: Case[] = [
    { name: 'current was pointed at another release', kind: 'current_moved', subject: () => 'current', seen: /^releases\/r1$/, inject: () => w.moveCurrent('releases/r1'), mend: () => w.moveCurrent('releases/r2') },
    { name: 'current dangles', kind: 'current_moved', subject: () => 'current', seen: /^releases\/gone$/, inject: () => w.moveCurrent('releases/gone'), mend: () => w.moveCurrent('releases/r2') },
    { name: 'current leads out of the releases: the host is heard all the same', kind: 'current_moved', subject: () => 'current', seen: /^\/nowhere$/, inject: () => w.moveCurrent('/nowhere'), mend: () => w.moveCurrent('releases/r2') },
    { name: 'the COMPLETE mark is gone', kind: 'current_incomplete', subject: () => 'current', seen: /r2, without/, inject: () => fs.rename(mark(), `${mark()}.away`), mend: () => fs.rename(`${mark()}.away`, mark()) },
    { name: 'an instance was started on another release', kind: 'instance_on_other_release', subject: () => 'api-b', seen: /^r1$/, inject: () => startOn(apiB, r1), mend: () => startOn(apiB, r2) },
    { name: 'an instance was killed', kind: 'instance_dead', subject: () => 'api-b', seen: /failed/, inject: async () => w.kill(await w.processOf(apiB)), mend: async () => void (await w.services.start(await w.specOn(apiB, r2))) },
    {
      name: 'an instance does not run, and why cannot be asked: not known, and not said to be dead',
      kind: 'instance_unasked',
      subject: () => 'api-b',
      seen: /^unknown$/,
      inject: async () => {
        kept = await fs.readFile(record(), 'utf8');
        await fs.rm(record());
        await fs.mkdir(record());
        await w.kill(await w.processOf(apiB));
      },
      mend: async () => {
        await fs.rmdir(record());
        await fs.writeFile(record(), kept);
        await w.services.start(await w.specOn(apiB, r2));
      },
    },
    { name: 'a conf file can be read by everybody', kind: 'config_mode', subject: () => w.layout.configFile(apiA), seen: /^0644$/, inject: () => fs.chmod(w.layout.configFile(apiA), 0o644), mend: () => fs.chmod(w.layout.configFile(apiA), 0o600) },
    {
      name: '.env.production can be read by the group',
      kind: 'config_mode',
      subject: () => w.layout.envFile,
      seen: /^0640$/,
      inject: async () => {
        await fs.writeFile(w.layout.envFile, 'SECRET=x\n', { mode: 0o600 });
        await fs.chmod(w.layout.envFile, 0o640);
      },
      mend: () => fs.rm(w.layout.envFile),
    },
    { name: 'the router was told something else', kind: 'router_differs', subject: () => 'router', seen: /is meant/, inject: () => handRouter(false), mend: () => handRouter(true) },
    {
      name: 'a run that has ended left its intent behind',
      kind: 'leftover_intent',
      subject: () => w.runs[0] ?? '',
      seen: /r1 -> r2/,
      inject: () =>
        fs.writeFile(
          w.layout.intentFile,
          JSON.stringify({ schema: 1, runId: w.runs[0], fence: 1, kind: 'update-apply', product: w.stack.product, phase: 'installed', fromReleaseId: r1, toReleaseId: r2, openedAt: '2026-01-01T00:00:00.000Z', backupPath: null, stranded: null }),
          { mode: 0o600 },
        ),
      mend: () => fs.rm(w.layout.intentFile),
    },
    {
      name: 'state.json was edited and cannot be read: the host is heard all the same',
      kind: 'memory_unreadable',
      subject: () => 'state.json',
      seen: /state\.json/,
      inject: async () => {
        kept = await fs.readFile(w.layout.stateFile, 'utf8');
        await fs.writeFile(w.layout.stateFile, '{ no json');
      },
      mend: () => fs.writeFile(w.layout.stateFile, kept, { mode: 0o600 }),
    },
    // Last: without control nobody starts a router again.
    { name: 'the router was killed', kind: 'router_dead', subject: () => 'router', seen: /does not answer/, inject: () => w.killRouter(), mend: async () => undefined },
  ];

  test.each(cases)('$name: found, shown with what a person can do, and left alone', async ({ kind, subject, seen, inject, mend }) => {
    const runs = (await w.stack.ask<{ runs: unknown[] }>('GET', '/api/runs')).body.runs.length;
    await inject();
    try {
      const finding = await w.found(kind, subject());
      expect(finding.seen).toMatch(seen);
      const shown = await w.stack.fairlead('nodes', 'show', 'h1');
      expect(shown.stdout).toContain('DRIFT (this host only reports)');
      expect(shown.stdout).toContain(`${kind} ${subject()}, since ${finding.since}`);
      expect(shown.stdout).toContain(finding.message);
      expect(shown.stdout).toContain(finding.hint);
      const json = JSON.parse((await w.stack.fairlead('nodes', 'show', 'h1', '--json')).stdout) as HostDetail;
      expect(json.healing.verdicts).toContainEqual(expect.objectContaining({ kind, subject: subject(), verdict: 'person' }));
      expect(json.healing.tries).toEqual([]);
    } finally {
      await mend();
    }
    if (kind === 'router_dead') return;
    await w.allGone();
    expect((await w.stack.ask<{ runs: unknown[] }>('GET', '/api/runs')).body.runs).toHaveLength(runs);
  }, 90_000);

  test('each was noted in the audit when it came and when it went, once', async () => {
    const [came, went] = [await w.audit('host.drift_found'), await w.audit('host.drift_gone')];
    const keys = (rows: typeof came) => rows.map(({ detail }) => `${String(detail['kind'])} ${String(detail['subject'])} ${String(detail['since'])}`);
    expect(new Set(keys(came)).size).toBe(came.length);
    expect(keys(came)).toEqual(expect.arrayContaining(keys(went)));
    expect(new Set(came.map(({ detail }) => detail['kind']))).toEqual(new Set(cases.map(({ kind }) => kind)));
    expect((await w.stack.fairlead('audit', 'verify')).exitCode).toBe(0);
  });

  test('asked by a person, a run of the active release mends it: it is planned from what is seen', async () => {
    expect((await w.stack.apply('h1', r2)).outcome).toBe('succeeded');
    await w.allGone();
    expect((await w.stack.apply('h1', r2)).outcome).toBe('unchanged');
  }, 90_000);
});

describe('a host that heals', () => {
  let w: Watched;
  beforeAll(async () => {
    w = await startWatched('heal');
  }, 180_000);
  afterAll(() => w?.stack.end(), 60_000);

  const tryOf = (kind: string, subject: string) =>
    eventually(
      `the end of a repair of ${kind} ${subject}`,
      async () => (await w.host()).healing.tries.find((each) => each.kind === kind && each.subject === subject && each.outcome !== null),
      60_000,
    );

  test('a conf file that others can read: the agent puts its mode right itself, and the audit says so', async () => {
    const path = w.layout.configFile(apiA);
    await fs.chmod(path, 0o644);
    await eventually('mode 0600', async () => ((await fs.stat(path)).mode & 0o777) === 0o600, seenMs);
    await eventually('a row in the audit', async () => (await w.audit('host.healed')).some(({ detail }) => detail['subject'] === path && detail['note'] === 'mode 0644 -> 0600'), seenMs);
    await eventually('it is among what was tried, which is written after the audit', async () => (await w.host()).healing.tries.length > 0, seenMs);
    expect((await w.host()).healing.tries).toEqual([expect.objectContaining({ kind: 'config_mode', subject: path, by: 'host', runId: null })]);
    await eventually('the agent has been told that it was heard', async () => (await fs.stat(join(w.layout.fairleadDir, 'acts.json')).catch(() => null)) === null, seenMs);
  }, 120_000);

  test('a killed instance is started again by a run, which restarts nothing else and which no client feels', async () => {
    const before = await w.pids();
    const address = await w.stack.address('h1');
    // The router answers for the dead one from its twin, so that the load begins once the router has noticed.
    await w.kill(await w.processOf(apiB));
    await eventually('the twin answers', async () => (await Promise.all(Array.from({ length: 8 }, async () => (await fetch(`${address}/api/health`)).status === 200))).every(Boolean), seenMs);
    const load = startLoad({ urls: ['/', '/web/health'].map((path) => address + path), requestsPerSecond: 100, connections: 6, postUrl: '', postShare: 0 });
    const tried = await tryOf('instance_dead', 'api-b');
    const result = await load.stop();
    expect(tried).toMatchObject({ by: 'run', outcome: 'succeeded' });
    expect(result.failed).toEqual([]);
    expect(result.sent).toBeGreaterThan(50);
    const after = await w.pids();
    expect([after['api-a'], after['web-a']]).toEqual([before['api-a'], before['web-a']]);
    expect(after['api-b']).not.toBeNull();
    await w.allGone();
    const run = (await w.stack.ask<{ run: { requestedBy: string; toReleaseId: string }; report: { steps: { name: string; note?: string }[] } }>('GET', `/api/runs/${tried.runId}`)).body;
    expect(run.run).toMatchObject({ requestedBy: 'supervisor', toReleaseId: 'r2' });
    expect(run.report.steps.find(({ name }) => name === 'migrate')?.note).toBe('the data is of this release already');
    const requested = (await w.audit('run.requested')).filter(({ actor }) => actor === 'supervisor');
    expect(requested).toEqual([expect.objectContaining({ detail: expect.objectContaining({ releaseId: 'r2', findings: [expect.objectContaining({ kind: 'instance_dead', subject: 'api-b' })] }) })]);
    expect((await w.stack.fairlead('nodes', 'show', 'h1')).stdout).toContain(`instance_dead api-b: tried at ${tried.at}, run ${tried.runId}, outcome succeeded`);
  }, 120_000);

  test('killed again within the hour: it is not tried again, a person is asked for and told what was tried', async () => {
    await w.kill(await w.processOf(apiB));
    await w.found('instance_dead', 'api-b');
    const verdict = await eventually('a verdict', async () => (await w.host()).healing.verdicts.find(({ subject }) => subject === 'api-b'), seenMs);
    expect(verdict).toMatchObject({ verdict: 'person', why: expect.stringMatching(/^tried at .*, outcome succeeded, and it is there again/) });
    const shown = (await w.stack.fairlead('nodes', 'show', 'h1')).stdout;
    expect(shown).toMatch(/instance_dead api-b, since [\s\S]*tried at .*, run .*, outcome succeeded\n[\s\S]*asks for a person: tried at/);
    expect((await w.stack.apply('h1', r2)).outcome).toBe('succeeded');
    await w.allGone();
  }, 90_000);

  test.each<[string, string, () => Promise<void>]>([
    ['current_moved', 'current', () => w.moveCurrent('releases/r1')],
    ['router_dead', 'router', () => w.killRouter()],
  ])('%s: put right by a run that restarts no instance', async (kind, subject, inject) => {
    const before = await w.pids();
    await inject();
    expect(await tryOf(kind, subject)).toMatchObject({ by: 'run', outcome: 'succeeded' });
    await w.allGone();
    expect(await w.pids()).toEqual(before);
    expect(await fs.readlink(w.layout.currentLink)).toBe('releases/r2');
    expect((await fetch(`${await w.stack.address('h1')}/api/health`)).status).toBe(200);
  }, 120_000);

  test('a repair that does not help: the host is not stranded by it, a person is asked for, and the next release is not refused', async () => {
    const file = w.layout.configFile(webA);
    const conf = await fs.readFile(file, 'utf8');
    await fs.writeFile(file, `${conf}this is no assignment\n`);
    await w.kill(await w.processOf(webA));
    const tried = await tryOf('instance_dead', 'web-a');
    expect(tried.outcome).toBe('stranded');
    await eventually('the host has let the repair go', async () => (await w.host()).products[0]?.intent === null, seenMs);
    const finding = await w.found('instance_dead', 'web-a');
    expect((await w.host()).healing.verdicts).toContainEqual(expect.objectContaining({ subject: 'web-a', verdict: 'person', why: expect.stringContaining(`run ${tried.runId}, outcome stranded`) }));
    expect(finding.heal).toBe('run');
    const untouched = await w.pids();
    expect([untouched['api-a'], untouched['api-b']]).not.toContain(null);

    await fs.writeFile(file, conf);
    await w.stack.publish('r3', { edit: oneWeb });
    expect((await w.stack.apply('h1', 'r3')).outcome).toBe('succeeded');
    await w.allGone();
  }, 180_000);

  test('a look survives what it cannot look at: the next one finds it again', async () => {
    const state = await fs.readFile(w.layout.stateFile, 'utf8');
    await fs.rm(w.layout.stateFile);
    await fs.mkdir(w.layout.stateFile);
    await w.found('memory_unreadable', 'state.json');
    await fs.rmdir(w.layout.stateFile);
    await fs.writeFile(w.layout.stateFile, state, { mode: 0o600 });
    await w.allGone();
  }, 90_000);
});
