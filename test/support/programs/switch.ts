import { stat } from 'node:fs/promises';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { createHostActivities } from '../../../activities/host/index.ts';
import { createHostStore } from '../../../src/adapters/host-store/filesystem.ts';
import { createReleaseStore } from '../../../src/adapters/release-store/filesystem/index.ts';
import type { ReleaseId } from '../../../src/domain/ids.ts';
import { asFairleadError } from '../../../src/domain/system-failure.ts';
import { switchRun, type SwitchActivity } from '../switch-run.ts';

// Steps as the agent takes them, in a process of its own that can be killed at any system call. For each line on standard input, an activity
// and a release id, it takes the step and answers with a line: null, or why not.
const [root = ''] = process.argv.slice(2);
const host = { host: switchRun.host, root, store: createHostStore(root), releases: createReleaseStore({ root, syncTree: async () => undefined }), now: () => new Date() };
const { activities } = createHostActivities(host as HostDependencies);
const context = { cancel: new AbortController().signal, progress: () => undefined, attempt: 1 };

await stat('/'); // From here on the thread that makes the system calls is there.
process.stdin.setEncoding('utf8').on('data', (line: string) => {
  const [activity, releaseId] = line.trim().split(' ') as [SwitchActivity, ReleaseId];
  activities[activity]({ run: switchRun, direction: 'do', releaseId }, context).then(
    () => process.stdout.write('null\n'),
    (error: unknown) => process.stdout.write(`${JSON.stringify(asFairleadError(error, activity).reason)}\n`),
  );
});
process.stdout.write('ready\n');
