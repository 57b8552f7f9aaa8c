import { readdir } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { agentLayout } from '../../../src/domain/host/layout.ts';
import { startsOf, whoAnswers } from '../look.ts';
import type { Screen } from '../screen.ts';
import type { Stage } from '../stage.ts';
import { shown } from './under-load.ts';

/** Who is killed, one after the other, each while another instance is being proven. */
const kills = [
  { process: 'agent-h1', name: 'the agent' },
  { process: 'control', name: 'the control worker' },
] as const;

export async function killed(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter('kill -9 in the middle of the update to r5: first the agent, then the control worker');
  let killing: Promise<Killing> | null = null;
  const { report, exitCode, tookMs } = await stage.apply('r5', [], (runId) => {
    killing = killInTurn(stage, screen, runId);
    killing.catch(() => undefined); // Told below, once the run has ended.
  });
  const { done, looked } = await (killing ?? Promise.resolve<Killing>({ done: 0, looked: 'nobody said which run it is' }));
  const again = stage.said.filter((line) => line.includes('starting it again')).length;
  screen.claim('both were killed while the run was under way, and started again', done === kills.length && again >= kills.length, `${done} killed, ${again} started again${done === kills.length ? '' : `; ${looked}`}`);
  const lost = report.steps.filter(({ attempts }) => attempts > 1).map(({ name, instance, attempts }) => `${name}${instance === undefined ? '' : ` ${instance}`} took ${attempts} attempts`);
  screen.claim('the run finishes by itself', report.outcome === 'succeeded' && exitCode === 0, `${report.outcome} in ${(tookMs / 1000).toFixed(1)} s${lost.length > 0 ? `; ${lost.join(', ')}` : ''}`);
  const starts = await startsOf(stage.layout, 'r5');
  screen.claim('still each instance is restarted once', starts['api-a'] === 1 && starts['api-b'] === 1, `starts on r5: ${shown(starts)}`);
  const who = await whoAnswers(await stage.address());
  screen.claim('r5 serves on both instances', who.answered === 20 && who.instances.length === 2 && who.releases.join() === 'r5', who.shown);
}

/**
 * Whether the agent has taken the step up. The run names a step from the moment in which it is ordered; killed in the milliseconds before it arrives,
 * the agent could not note it, and the run would wait for the heartbeat limit: true as well, but half a minute that shows nothing.
 */
async function atWork({ root }: Stage): Promise<boolean> {
  return (await readdir(agentLayout(root).inFlightDir).catch(() => [])).length > 0;
}

interface Killing {
  /** How many were killed before the run ended. */
  readonly done: number;
  /** How it was looked for the moment, for whoever wonders why it did not come. */
  readonly looked: string;
}

async function killInTurn(stage: Stage, screen: Screen, runId: string): Promise<Killing> {
  let done = 0;
  let last: string | null = null;
  let looks = 0;
  let slowestMs = 0;
  const seen = new Set<string>();
  const told = (): Killing => ({ done, looked: `looked ${looks} times, the slowest took ${Math.round(slowestMs)} ms; seen: ${[...seen].join(', ') || 'no step'}` });
  for (const { process: name, name: shownName } of kills) {
    for (;;) {
      const began = performance.now();
      const { report, progress } = await stage.run(runId);
      looks += 1;
      slowestMs = Math.max(slowestMs, performance.now() - began);
      if (report !== null) return told();
      const pid = stage.dev.pids()[name] ?? null;
      const isAtWork = await atWork(stage);
      seen.add(`${progress?.step ?? 'none'}${isAtWork ? '' : ' (not taken up)'}`);
      if (progress?.step?.startsWith('prove ') && progress.step !== last && progress.direction === 'do' && pid !== null && isAtWork) {
        process.kill(pid, 'SIGKILL');
        screen.say(`kill -9 ${pid} (${shownName}) at step ${progress.steps.length + 1} of ${progress.stepsPlanned}: ${progress.step}`);
        last = progress.step;
        done += 1;
        break;
      }
      await pause(20, undefined, { signal: stage.cancel });
    }
  }
  return told();
}
