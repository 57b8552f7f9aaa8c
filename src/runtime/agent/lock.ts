import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { isAlive, readProcess, type ProcessIdentity } from '../../adapters/process/proc.ts';
import { ensureDirectory, readIfThere } from '../../adapters/files/durable.ts';

/**
 * One agent for a root. The file names the process and its start time, so that one that was left behind by a dead process, or by a
 * machine that has booted since, holds nobody up.
 */
export async function takeAgentLock(file: string): Promise<() => Promise<void>> {
  await ensureDirectory(dirname(file), 0o700);
  const me = await readProcess(process.pid);
  const mine = JSON.stringify({ pid: process.pid, startTicks: me?.startTicks ?? '' });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await fs.writeFile(file, mine, { flag: 'wx', mode: 0o600 });
      return async () => {
        if ((await readIfThere(file)) === mine) await fs.rm(file, { force: true });
      };
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
    }
    const holder = parse(await readIfThere(file));
    if (holder && holder.pid !== process.pid && (await isAlive(holder))) {
      throw new FairleadError({
        class: 'host',
        code: 'agent_running',
        message: `An agent already runs for this root: process ${holder.pid} holds ${file}.`,
        hint: `Stop it first (kill ${holder.pid}), or give this one a root of its own with --root.`,
      });
    }
    await fs.rm(file, { force: true });
  }
  throw new FairleadError({ class: 'host', code: 'agent_running', message: `Another agent keeps taking ${file}.`, hint: 'See which processes start agents for this root.' });
}

function parse(text: string | null): ProcessIdentity | null {
  try {
    return text === null ? null : (JSON.parse(text) as ProcessIdentity);
  } catch {
    return null;
  }
}
