import * as fs from 'node:fs/promises';
import { relative } from 'node:path';
import { renderReport } from '../../../src/cli/report-text.ts';
import { parseInstanceConfig, renderInstanceConfig } from '../../../src/domain/host/instance-config.ts';
import type { InstanceName } from '../../../src/domain/ids.ts';
import { whoAnswers } from '../look.ts';
import type { Screen } from '../screen.ts';
import { product, project, type Stage } from '../stage.ts';

export async function stranded(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter('The update fails, and so does the way back: somebody has broken a conf file on the host');
  const conf = stage.layout.configFile('api-a' as InstanceName);
  const good = await fs.readFile(conf, 'utf8');
  await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(good), FAULTS: '{"notReady":true}' }), { mode: 0o600 });
  screen.say(`${relative(stage.root, conf)} now says FAULTS={"notReady":true}: from its next start on api-a is never ready, whatever the release`);
  const { report, exitCode } = await stage.apply('r6');
  screen.block(renderReport({ ...report, steps: [], evidence: report.evidence.slice(-1) }));
  const { recovery } = report;
  screen.claim('the run says that it needs a person', report.outcome === 'stranded' && exitCode === 6, `${report.outcome}, exit code ${exitCode}`);
  screen.claim('the recovery record names the last good release, the backup and the commands', recovery?.lastGoodReleaseId === 'r5' && recovery.backupPath !== null && recovery.commands.length > 0, `${recovery?.lastGoodReleaseId}, ${recovery?.commands.length} commands, a backup ${recovery?.backupPath === null ? 'of nothing' : 'on the host'}`);
  const there = await Promise.all([stage.layout.recoveryRecord(report.runId), stage.layout.recoveryScript(report.runId)].map((file) => fs.stat(file).then(({ size }) => size, () => 0)));
  screen.claim('the host holds it as well, as JSON and as a script', there.every((size) => size > 0), `${there.join(' and ')} bytes`);

  await fs.writeFile(conf, good, { mode: 0o600 });
  screen.say('the conf file is mended; on the host, without API, Temporal or database:');
  const words = ['recover', '--product', product, '--run', report.runId];
  screen.command(`fairlead ${words.join(' ')} --root ${relative(project, stage.root)}`);
  const recovered = await stage.fairlead(...words, '--root', stage.root);
  screen.block(recovered.stdout || recovered.stderr);
  screen.claim('the host is back', recovered.exitCode === 0, `exit code ${recovered.exitCode} after ${(recovered.tookMs / 1000).toFixed(1)} s`);
  const who = await whoAnswers(await stage.address());
  screen.claim('r5 serves on both instances', who.answered === 20 && who.instances.length === 2 && who.releases.join() === 'r5', who.shown);
}
