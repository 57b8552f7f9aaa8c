import { createHostActivities } from '../../activities/host/index.ts';
import type { HostDependencies, RunRef } from '../../activities/host/dependencies.ts';
import type { ActivityContext } from '../ports/host-activity.ts';

/**
 * Puts the pair back that was served before a run about a certificate, reloads the router and proves it. No release and no data is touched. A run that had
 * not begun to switch has nothing to put back.
 * @returns the backup that was used; null where none was taken
 */
export async function recoverCertificate(host: HostDependencies, run: RunRef, say: (line: string) => void): Promise<string | null> {
  const { activities } = createHostActivities(host);
  const context: ActivityContext = { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 };
  for (const certificate of await host.certificates.list(run.product)) {
    const backup = await host.certificates.readBackup(run.product, certificate, run.runId);
    if (backup === null) continue;
    const command = { run, direction: 'recover', certificate } as const;
    const { version } = await activities.restoreCertificate(command, context);
    say(version === null ? `${certificate}: plain HTTP again` : `${certificate}: current -> ${version}`);
    await activities.reloadRouter(command, context);
    const { served } = await activities.proveServed({ ...command, version, workersBefore: null }, context);
    say(`proven on ${served.length} listeners and names`);
    return backup.path;
  }
  say('the run had switched nothing yet');
  return null;
}
