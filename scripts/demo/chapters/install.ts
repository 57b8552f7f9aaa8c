import type { Screen } from '../screen.ts';
import { host, product, type Stage } from '../stage.ts';
import { whoAnswers } from '../look.ts';

export async function install(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter(`A first install: ${product} r1 on ${host}`);
  const { report, exitCode, tookMs } = await stage.apply('r1', ['--phase', 'installed']);
  screen.claim('the install succeeds', report.outcome === 'succeeded' && exitCode === 0, `${report.outcome} in ${(tookMs / 1000).toFixed(1)} s, ${report.steps.length} steps, exit code ${exitCode}`);
  const who = await whoAnswers(await stage.address());
  screen.claim('both API instances serve r1 through the router', who.answered === 20 && who.instances.length === 2 && who.releases.join() === 'r1', who.shown);
}
