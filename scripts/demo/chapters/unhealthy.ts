import { renderReport } from '../../../src/cli/report-text.ts';
import { whoAnswers } from '../look.ts';
import type { Screen } from '../screen.ts';
import type { Stage } from '../stage.ts';

export async function unhealthy(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter('A release that never gets healthy: r3 starts, but is never ready');
  const { report, exitCode } = await stage.apply('r3');
  screen.block(renderReport({ ...report, steps: [] }));
  const probes = report.evidence.filter((item) => item.kind === 'probe' && !item.passed).length;
  const logs = report.evidence.filter((item) => item.kind === 'log').length;
  screen.claim('it is rolled back', report.outcome === 'rolled_back' && exitCode === 5, `${report.outcome}, exit code ${exitCode}`);
  screen.claim('the evidence was kept before anything was undone', probes > 0 && logs > 0, `${probes} failed probe answers, ${logs} ends of logs`);
  const who = await whoAnswers(await stage.address());
  screen.claim('r2 serves on both instances', who.answered === 20 && who.instances.length === 2 && who.releases.join() === 'r2', who.shown);
}
