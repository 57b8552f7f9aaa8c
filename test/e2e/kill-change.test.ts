import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fs from 'node:fs/promises';
import { isAlive, readProcess } from '../../src/adapters/process/proc.ts';
import type { Outcome, RunReport } from '../../src/domain/run/report.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { points, startCheckpoints, type Checkpoint, type Point, type Verdict } from '../support/checkpoints.ts';
import { bootsOf, brokenActivation, brokenOutcome, brokenRestarts } from '../support/invariants.ts';
import { changeActivities } from '../support/matrix.ts';
import { cutDown } from '../support/matrix-product.ts';
import { startStack, type Stack } from '../support/stack.ts';

interface Scenario {
  readonly name: string;
  readonly host: string;
  readonly outcome: Outcome;
  /** An activity that fails on the way forward, after it has done its work: the run goes back from there. */
  readonly failsAt: string | null;
  run(stack: Stack, host: string, releaseId: string): Promise<RunReport>;
}

const scenarios: readonly Scenario[] = [
  { name: 'a promotion', host: 'h1', outcome: 'succeeded', failsAt: null, run: (stack, host) => stack.promote(host) },
  { name: 'a promotion whose last step fails', host: 'h2', outcome: 'rolled_back', failsAt: 'commitRelease', run: (stack, host) => stack.promote(host) },
  { name: 'blue-green', host: 'h3', outcome: 'succeeded', failsAt: null, run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'blue-green' }) },
  { name: 'a canary', host: 'h4', outcome: 'succeeded', failsAt: null, run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'canary' }) },
  { name: 'blue-green whose last step fails', host: 'h5', outcome: 'rolled_back', failsAt: 'commitRelease', run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'blue-green' }) },
];

/**
 * The agent is killed once at every activity of the run, on every way that the run takes: at each in turn before, during or after its effect. The
 * activities that only these runs have are killed at all three.
 */
describe('a promotion, or a release beside the old one, loses its agent at every activity', () => {
  let stack: Stack;
  let decision: (at: Checkpoint) => Promise<Verdict> | Verdict = () => 'go';
  let checkpoints: Awaited<ReturnType<typeof startCheckpoints>>;
  let dir = '';
  let count = 0;
  const killed = new Set<string>();

  beforeAll(async () => {
    checkpoints = await startCheckpoints((at) => decision(at));
    const { file: agentFile } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' });
    dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-change-'));
    const env = { ...checkpoints.env, FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEAL: 'report' };
    stack = await startStack({ hosts: scenarios.length, dir, replace: { agentFile, env } });
    await stack.publish('base', { edit: cutDown });
    for (const { host, name } of scenarios) {
      const phase = name.startsWith('a promotion') ? 'setup' : 'installed';
      expect((await stack.apply(host, 'base', { phase })).outcome).toBe('succeeded');
      if (phase === 'installed') continue;
      const answer = await fetch(`${await stack.address(host)}/api/setup/complete`, { method: 'POST', headers: { connection: 'close' }, body: JSON.stringify({ publicOrigin: 'https://noderax.example.org', administrator: 'ops' }) });
      expect(answer.status).toBe(200);
    }
  }, 240_000);
  afterAll(async () => {
    await stack?.end();
    await checkpoints?.stop();
    await fs.rm(dir, { recursive: true, force: true });
  }, 60_000);

  const rootOf = (host: string): string => stack.dev.summary.hosts.find((known) => known.host === host)?.root as string;

  test.each(scenarios)('$name: the run ends as if nothing had happened', async ({ host, outcome, failsAt, run }) => {
    count += 1;
    const releaseId = `c${count}`;
    await stack.publish(releaseId, { edit: cutDown });
    const phaseBefore = (await stack.state(host)).phase;
    const bootsBefore = (await bootsOf(rootOf(host), stack.product)).length;
    const turns = new Map<string, number>();
    const broken: string[] = [];
    decision = async (at): Promise<Verdict> => {
      if (at.program !== 'agent' || at.host !== host) return 'go';
      const key = `${at.activity} ${at.direction}`;
      const place = turns.get(key) ?? turns.size * 4;
      turns.set(key, place);
      // Each activity begins at another of the points; those of these runs alone go on until all three have been tried.
      const turn = place % 4;
      const wanted = points[(Math.floor(place / 4) + turn) % points.length] as Point;
      const limit = changeActivities.includes(at.activity) ? points.length : 1;
      if (turn < limit && at.point === wanted) {
        turns.set(key, place + 1);
        const pid = stack.dev.pids()[`agent-${host}`];
        if (!pid) return 'go';
        const identity = await readProcess(pid);
        process.kill(pid, 'SIGKILL');
        while (identity && (await isAlive(identity))) await new Promise((resolve) => setTimeout(resolve, 5));
        killed.add(`${at.activity} ${at.direction} ${at.point}`);
        broken.push(...(await brokenActivation(rootOf(host), stack.product)));
        return 'go';
      }
      return at.activity === failsAt && at.direction === 'do' && at.point === 'after' ? 'fail' : 'go';
    };
    const report = await run(stack, host, releaseId);
    decision = () => 'go';
    const boots = (await bootsOf(rootOf(host), stack.product)).slice(bootsBefore);
    broken.push(...(await brokenActivation(rootOf(host), stack.product)), ...(await brokenOutcome(rootOf(host), report)), ...brokenRestarts(boots));
    const reason = report.outcome === outcome ? null : { ...report.reason, stuck: report.recovery };
    expect({ outcome: report.outcome, broken, reason }).toEqual({ outcome, broken: [], reason: null });
    const state = await stack.state(host);
    expect(state.phase).toBe(outcome === 'succeeded' ? 'installed' : phaseBefore);
    expect(state.split ?? null).toBeNull();
    expect((await fs.readdir(stack.layout(host).configDir)).filter((name) => name.includes('before-'))).toEqual([]);
  }, 420_000);

  test('every activity that only these runs have was killed before, during and after its effect', () => {
    const missed = changeActivities.flatMap((activity) => points.filter((point) => ![...killed].some((key) => key.startsWith(`${activity} `) && key.endsWith(` ${point}`))).map((point) => `${activity} ${point}`));
    // What only asks has no effect to be killed during.
    expect(missed.filter((name) => !/^(checkSetup|measureTraffic) during$/.test(name))).toEqual([]);
  });
});
