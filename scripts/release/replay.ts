import * as fs from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';

export type History = ReturnType<typeof historyFromJSON>;
export interface Recording {
  readonly name: string;
  readonly history: History;
}

/**
 * The recorded runs in a directory, by name: `NAME.json`, as test/histories has them and as `temporal workflow show --output json` prints them.
 * @throws where a file is no history, and names it
 */
export async function readRecordings(directory: string): Promise<Recording[]> {
  const names = (await fs.readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    names.map(async (name) => {
      try {
        return { name: basename(name, '.json'), history: historyFromJSON(JSON.parse(await fs.readFile(join(directory, name), 'utf8'))) };
      } catch (error) {
        throw new Error(`${join(directory, name)} is no recorded history: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
    }),
  );
}

/**
 * Replays recorded runs against a bundle of workflows. A run that is under way when a new control worker starts is one of these, up to some event.
 * @returns the names of those that the bundle cannot replay, with why
 */
export async function replay(codePath: string, recordings: readonly Recording[]): Promise<Map<string, Error>> {
  const failed = new Map<string, Error>();
  let replayed = 0;
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: { codePath } }, recordings.map(({ name, history }) => ({ workflowId: name, history })))) {
    replayed += 1;
    if (error) failed.set(workflowId, error);
  }
  if (replayed !== recordings.length) throw new Error(`only ${replayed} of ${recordings.length} recorded runs were replayed`);
  return failed;
}

/** Once for a process, before `replay`: a replay that fails says so by its result, and what the SDK would print beside it is noise. */
export function quietRuntime(): void {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } } });
}
