import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fs from 'node:fs/promises';
import { isAlive, readProcess } from '../../src/adapters/process/proc.ts';
import type { Outcome, RunReport } from '../../src/domain/run/report.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { points, startCheckpoints, type Checkpoint, type Point, type Verdict } from './checkpoints.ts';
import { bootsOf, brokenActivation, brokenGuarantees } from './invariants.ts';
import { changeActivities } from './matrix.ts';
import { cutDown } from './matrix-product.ts';
import { triesEverything } from './requirement.ts';
import { startStack, type Stack } from './stack.ts';

/** A run that has instances beside others, on a host of its own. */
export interface ChangeScenario {
  readonly name: string;
  readonly host: string;
  readonly outcome: Outcome;
  /** An activity that fails on the way forward, after it has done its work: the run goes back from there. */
  readonly failsAt: string | null;
  run(stack: Stack, host: string, releaseId: string): Promise<RunReport>;
}

export const changeScenarios: readonly ChangeScenario[] = [
  { name: 'a promotion', host: 'h1', outcome: 'succeeded', failsAt: null, run: (stack, host) => stack.promote(host) },
  { name: 'a promotion whose last step fails', host: 'h2', outcome: 'rolled_back', failsAt: 'commitRelease', run: (stack, host) => stack.promote(host) },
  { name: 'blue-green', host: 'h3', outcome: 'succeeded', failsAt: null, run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'blue-green' }) },
  { name: 'a canary', host: 'h4', outcome: 'succeeded', failsAt: null, run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'canary' }) },
  { name: 'blue-green whose last step fails', host: 'h5', outcome: 'rolled_back', failsAt: 'commitRelease', run: (stack, host, releaseId) => stack.apply(host, releaseId, { strategy: 'blue-green' }) },
];

export interface ChangeMatrix {
  /**
   * Runs a scenario to its end, in which the victim is killed once at every activity, at each in turn before, during or after its effect; at the activities
   * that only these runs have it is killed at all three. Then looks at the host. Where the machine is not there for testing, control, which takes
   * seconds to come back, is killed at a third of them.
   */
  survive(scenario: ChangeScenario): Promise<void>;
  /** Of the activities that only these runs have: those at which nobody was killed, `activity point`. */
  missed(): readonly string[];
  end(): Promise<void>;
}

export async function startChangeMatrix(victim: 'agent' | 'control'): Promise<ChangeMatrix> {
  let decision: (at: Checkpoint) => Promise<Verdict> | Verdict = () => 'go';
  let count = 0;
  const killed = new Set<string>();
  const checkpoints = await startCheckpoints((at) => decision(at));
  const { file: agentFile } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' });
  const dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-change-'));
  const env = { ...checkpoints.env, FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEAL: 'report' };
  const stack = await startStack({ hosts: changeScenarios.length, dir, replace: { agentFile, env } });
  const rootOf = (host: string): string => stack.dev.summary.hosts.find((known) => known.host === host)?.root as string;

  /** @returns the process that was killed */
  async function kill(host: string): Promise<number> {
    const name = victim === 'agent' ? `agent-${host}` : 'control';
    const pid = stack.dev.pids()[name];
    if (!pid) throw new Error(`${name} does not run while an activity does`);
    const identity = await readProcess(pid);
    process.kill(pid, 'SIGKILL');
    while (identity && (await isAlive(identity))) await new Promise((resolve) => setTimeout(resolve, 5));
    return pid;
  }

  const matrix: ChangeMatrix = {
    async survive({ host, outcome, failsAt, run }) {
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
        const [first, turn] = [Math.floor(place / 4), place % 4];
        const wanted = points[(first + turn) % points.length] as Point;
        const ofThese = changeActivities.includes(at.activity);
        const isTried = triesEverything || victim === 'agent' || ofThese || first % 3 === 0;
        // An activity whose control dies goes on and comes by each of its points once, in their order; one whose agent dies is begun anew.
        const isHere = victim === 'control' && ofThese ? !killed.has(`${host} ${key} ${at.point}`) : turn < (ofThese ? points.length : 1) && at.point === wanted;
        const verdict: Verdict = at.activity === failsAt && at.direction === 'do' && at.point === 'after' ? 'fail' : 'go';
        if (isTried && isHere) {
          turns.set(key, place + 1);
          const pid = await kill(host);
          killed.add(`${host} ${key} ${at.point}`);
          broken.push(...(await brokenActivation(rootOf(host), stack.product)));
          // There has to be somebody to kill at the activity's next point.
          if (victim === 'control') await untilBack(pid);
          return verdict;
        }
        return verdict;
      };
      const report = await run(stack, host, releaseId);
      decision = () => 'go';
      const boots = (await bootsOf(rootOf(host), stack.product)).slice(bootsBefore);
      broken.push(...(await brokenGuarantees(stack, report, boots)));
      const reason = report.outcome === outcome ? null : { ...report.reason, stuck: report.recovery };
      expect({ outcome: report.outcome, broken, reason }).toEqual({ outcome, broken: [], reason: null });
      const state = await stack.state(host);
      expect(state.phase).toBe(outcome === 'succeeded' ? 'installed' : phaseBefore);
      expect(state.split ?? null).toBeNull();
      expect((await fs.readdir(stack.layout(host).configDir)).filter((name) => name.includes('before-'))).toEqual([]);
    },
    missed: () => changeActivities.flatMap((activity) => points.filter((point) => ![...killed].some((key) => key.includes(` ${activity} `) && key.endsWith(` ${point}`))).map((point) => `${activity} ${point}`)),
    async end() {
      await stack.end();
      await checkpoints.stop();
      await fs.rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  const untilBack = async (killedPid: number): Promise<void> => {
    while ((stack.dev.pids()['control'] ?? killedPid) === killedPid) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  try {
    await stack.publish('base', { edit: cutDown });
    for (const { host, name } of changeScenarios) {
      const phase = name.startsWith('a promotion') ? 'setup' : 'installed';
      expect((await stack.apply(host, 'base', { phase })).outcome).toBe('succeeded');
      if (phase === 'installed') continue;
      const answer = await fetch(`${await stack.address(host)}/api/setup/complete`, { method: 'POST', headers: { connection: 'close' }, body: JSON.stringify({ publicOrigin: 'https://noderax.example.org', administrator: 'ops' }) });
      expect(answer.status).toBe(200);
    }
    return matrix;
  } catch (error) {
    await matrix.end();
    throw error;
  }
}
