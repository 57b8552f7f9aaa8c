import { readdir, rm } from 'node:fs/promises';
import { exists } from '../../adapters/files/durable.ts';
import { devLayout } from './layout.ts';
import { lockDirectory } from './lock.ts';
import { switchOff } from './power.ts';
import { readDevState } from './state.ts';
import { endLeftovers } from './takeover.ts';

/**
 * Removes a development instance with everything that it keeps, and ends what one that was killed left running. Where there is none,
 * nothing is done.
 *
 * @param dir absolute
 * @throws FairleadError `dev_running` where it is at work
 */
export async function removeDev(dir: string): Promise<void> {
  const layout = devLayout(dir);
  if (!(await exists(layout.dir))) return;
  const unlock = await lockDirectory(layout.dir);
  try {
    await endLeftovers(layout.dir, await readDevState(layout.stateFile));
    for (const host of await readdir(layout.hostsDir).catch(() => [])) await switchOff(layout.hostRoot(host), 5_000);
    await rm(layout.dir, { recursive: true, force: true });
  } finally {
    await unlock();
  }
}
