import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** How the server knows an attempt, without its own token: that is a secret and never lies on the disk. */
export interface InFlightActivity {
  readonly workflowId: string;
  readonly runId: string;
  readonly activityId: string;
  readonly activityType: string;
  /** The token as the gateway has sealed it to this host, in base64: worth nothing without the host's key. Left out where tokens are not sealed. */
  readonly sealedTaskToken?: string;
}

/**
 * What this agent is working on, so that the next process of the same host can tell the server at once that those attempts have died,
 * instead of leaving the run to wait for the heartbeat limit. A hint only: nothing is lost when the file is, so it is not fsynced.
 */
export function createInFlightJournal(directory: string) {
  const fileOf = (activity: InFlightActivity) =>
    join(directory, `${createHash('sha256').update(`${activity.runId}/${activity.activityId}`).digest('hex').slice(0, 24)}.json`);
  return {
    async enter(activity: InFlightActivity): Promise<void> {
      await fs.writeFile(fileOf(activity), JSON.stringify(activity), { mode: 0o600 });
    },
    async leave(activity: InFlightActivity): Promise<void> {
      await fs.rm(fileOf(activity), { force: true });
    },
    /** What the process before this one left behind. */
    async leftovers(): Promise<InFlightActivity[]> {
      await fs.mkdir(directory, { recursive: true, mode: 0o700 });
      const found: InFlightActivity[] = [];
      for (const name of await fs.readdir(directory)) {
        try {
          found.push(JSON.parse(await fs.readFile(join(directory, name), 'utf8')) as InFlightActivity);
        } catch {
          await fs.rm(join(directory, name), { force: true }); // Half written when the process died: it had not begun its work.
        }
      }
      return found;
    },
  };
}
export type InFlightJournal = ReturnType<typeof createInFlightJournal>;
