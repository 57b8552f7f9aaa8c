import * as fs from 'node:fs/promises';
import { createControlActivities } from '../../activities/control/runs.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { isAlive, readProcess } from '../../src/adapters/process/proc.ts';
import { recover } from '../../src/cli/recover.ts';
import { parseInstanceConfig, renderInstanceConfig } from '../../src/domain/host/instance-config.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { Outcome, RunReport } from '../../src/domain/run/report.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { startCheckpoints, type Checkpoint, type Point, type Verdict } from '../support/checkpoints.ts';
import { bootsOf, brokenActivation, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { listingOf } from '../support/listing.ts';
import { cutDown } from '../support/matrix-product.ts';
import { startStack, type Stack } from '../support/stack.ts';

/**
 * Every activity of an update, and every way to lose a process at it. The lists are the activities themselves: a new one is in the matrix as
 * soon as it is offered, and fails it where no scenario reaches it.
 */
const hostActivities = Object.keys(createHostActivities({} as never).activities);
const controlActivities = Object.keys(createControlActivities({} as never));
const points: readonly Point[] = ['before', 'during', 'after'];

type ScenarioName = 'update' | 'rollback' | 'failed first install' | 'stranded';
/** Each on a host of its own, in the order in which one is looked for that reaches an activity. */
const scenarios: Readonly<Record<ScenarioName, { readonly host: string; readonly outcome: Outcome }>> = {
  update: { host: 'h1', outcome: 'succeeded' },
  rollback: { host: 'h2', outcome: 'rolled_back' },
  'failed first install': { host: 'h3', outcome: 'rolled_back' },
  stranded: { host: 'h4', outcome: 'stranded' },
};

describe('an update loses a process', () => {
  let stack: Stack;
  let checkpoints: Awaited<ReturnType<typeof startCheckpoints>>;
  let decide: (at: Checkpoint) => Promise<Verdict> | Verdict = () => 'go';
  let count = 0;
  /** Which activities were seen, in which direction, in which scenario. */
  const seen = new Map<ScenarioName, Set<string>>();

  const rootOf = (host: string): string => stack.dev.summary.hosts.find((known) => known.host === host)?.root as string;
  const pidOf = (name: string): number => stack.dev.pids()[name] as number;

  beforeAll(async () => {
    const { file } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' });
    checkpoints = await startCheckpoints((at) => decide(at));
    stack = await startStack({
      hosts: 4,
      replace: { agentFile: file, controlEntry: 'test/support/programs/control.ts', env: { ...checkpoints.env, FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000', FAIRLEAD_ROUTER: 'embedded' } },
    });
    await stack.publish('base', { edit: cutDown });
    for (const host of ['h1', 'h2', 'h4']) expect((await stack.apply(host, 'base')).outcome).toBe('succeeded');
    for (const name of Object.keys(scenarios) as ScenarioName[]) {
      const found = new Set<string>();
      decide = (at) => {
        found.add(`${at.activity} ${at.direction}`);
        return 'go';
      };
      await runScenario(name);
      seen.set(name, found);
    }
    decide = () => 'go';
  }, 240_000);
  afterAll(async () => {
    await stack?.end();
    await checkpoints?.stop();
  }, 60_000);

  /** Runs a scenario to its end, looks at the host, and leaves it ready for the next. */
  async function runScenario(name: ScenarioName, expected: Outcome = scenarios[name].outcome, more: Record<string, unknown> = {}): Promise<RunReport> {
    const { host } = scenarios[name];
    const root = rootOf(host);
    count += 1;
    const releaseId = `m${count}`;
    const bad = name === 'rollback' || name === 'failed first install';
    await stack.publish(releaseId, { edit: cutDown, ...(bad ? { faults: { crashAtStart: true, only: 'api-b' } } : {}) });
    const conf = stack.layout(host).configFile('api-a' as InstanceName);
    const before = name === 'stranded' ? await fs.readFile(conf, 'utf8') : '';
    // From its next start on the instance crashes on every release: neither forward nor back can work.
    if (name === 'stranded') await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(before), FAULTS: '{"crashAtStart":true}' }));
    const bootsBefore = (await bootsOf(root, stack.product)).length;
    const report = await stack.apply(host, releaseId, more);
    const boots = (await bootsOf(root, stack.product)).slice(bootsBefore);
    const broken = [...(await brokenActivation(root, stack.product)), ...(await brokenOutcome(root, report)), ...brokenRestarts(boots)];
    expect({ outcome: report.outcome, broken, reason: report.outcome === expected ? null : { ...report.reason, stuck: report.recovery } }).toEqual({ outcome: expected, broken: [], reason: null });
    if (name === 'stranded') await fs.writeFile(conf, before);
    if (report.outcome === 'stranded') {
      const recovered = await recover({ root, product: stack.product, run: report.runId, say: () => undefined });
      expect(recovered.outcome).toBe('recovered');
      expect(await brokenActivation(root, stack.product)).toEqual([]);
    }
    return report;
  }

  /** The scenarios that reach an activity, one for each direction that it has. */
  function reaching(activity: string): { name: ScenarioName; direction: string }[] {
    const found: { name: ScenarioName; direction: string }[] = [];
    for (const direction of ['do', 'undo']) {
      const name = (Object.keys(scenarios) as ScenarioName[]).find((scenario) => seen.get(scenario)?.has(`${activity} ${direction}`));
      if (name) found.push({ name, direction });
    }
    return found;
  }

  /** Kills `victim` when the activity gets to the point, the first time, and reads the disk while nothing moves. */
  function killAt(activity: string, direction: string, point: Point, host: string, victim: 'agent' | 'control'): { hit: () => boolean; broken: string[] } {
    let hit = false;
    const broken: string[] = [];
    decide = async (at): Promise<Verdict> => {
      if (hit || at.activity !== activity || at.direction !== direction || at.point !== point) return 'go';
      if (at.program === 'agent' && at.host !== host) return 'go';
      hit = true;
      const pid = pidOf(victim === 'agent' ? `agent-${host}` : 'control');
      const identity = await readProcess(pid);
      process.kill(pid, 'SIGKILL');
      while (identity && (await isAlive(identity))) await new Promise((resolve) => setTimeout(resolve, 5));
      broken.push(...(await brokenActivation(rootOf(host), stack.product)));
      return 'go';
    };
    return { hit: () => hit, broken };
  }

  const kills = [
    ...hostActivities.flatMap((activity) => (['agent', 'control'] as const).flatMap((victim) => points.map((point) => [victim, point, activity] as const))),
    ...controlActivities.flatMap((activity) => points.map((point) => ['control', point, activity] as const)),
  ];
  test.each(kills)('SIGKILL of the %s %s %s: the run ends as if nothing had happened', async (victim, point, activity) => {
    const reached = reaching(activity);
    expect(reached.length).toBeGreaterThan(0); // No scenario reaches it: the matrix has a hole.
    for (const { name, direction } of reached) {
      const killed = killAt(activity, direction, point, scenarios[name].host, victim);
      await runScenario(name);
      expect([killed.hit(), killed.broken]).toEqual([true, []]);
    }
  }, 120_000);

  test.each(hostActivities)('%s fails after it has done its work: the host is brought back, and nothing is left behind', async (activity) => {
    for (const { name, direction } of reaching(activity)) {
      const { host, outcome } = scenarios[name];
      const before = await listingOf(rootOf(host), stack.product);
      decide = (at) => (at.host === host && at.activity === activity && at.direction === direction && at.point === 'after' ? 'fail' : 'go');
      // What only tidies up changes no outcome. On the way back any other step that fails strands the host.
      const tidying = (direction === 'do' ? ['pruneReleases', 'closeIntent'] : ['discardRelease', 'closeIntent']).includes(activity);
      const expected: Outcome =
        activity === 'inspectHost' ? 'refused' : name === 'stranded' ? 'stranded' : tidying ? outcome : direction === 'undo' ? 'stranded' : beforeBackup.includes(activity) ? 'refused' : 'rolled_back';
      await runScenario(name, expected);
      decide = () => 'go';
      if (name === 'update' && expected !== 'succeeded') expect(await listingOf(rootOf(host), stack.product)).toEqual(before);
    }
  }, 120_000);

  test.each([...Object.keys(scenarios)] as ScenarioName[])('every activity runs twice (%s): same effect as once', async (name) => {
    decide = (at) => (at.point === 'before' ? 'twice' : 'go');
    await runScenario(name);
  }, 120_000);
});

/** Where a failure of these comes, nothing that serves has been touched. */
const beforeBackup = ['openIntent', 'downloadBundle', 'verifyBundle', 'extractBundle', 'runPreflight', 'takeBackup'];
