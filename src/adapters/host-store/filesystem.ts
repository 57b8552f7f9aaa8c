import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { HostState, Intent } from '../../domain/host/state.ts';
import { namePattern, type ProductName, type RunId } from '../../domain/ids.ts';
import type { RecoveryRecord } from '../../domain/run/report.ts';
import type { FenceLine, HostStore } from '../../ports/host-store.ts';
import { ensureDirectory, isMissing, readIfThere, removeFileDurably, writeFileDurably } from '../files/durable.ts';

/** The host's memory as small JSON files below `<state root>/fairlead`, which only the agent's user may read. */
export function createHostStore(root: string): HostStore {
  const layoutOf = (product: ProductName) => hostLayout(root, product);

  async function readJson<T extends { schema: 1 }>(path: string, what: string): Promise<T | null> {
    const text = await readIfThere(path);
    if (text === null) return null;
    try {
      const value = JSON.parse(text) as T;
      if (value.schema !== 1) throw new Error(`schema ${String(value.schema)} where 1 was expected`);
      return value;
    } catch (cause) {
      throw new FairleadError(
        {
          class: 'host',
          code: 'host_memory_unreadable',
          message: `${what} at ${path} cannot be read as ${what} of this version.`,
          hint: `Look at the file; if it was edited by hand, put it right or restore it from the newest folder in ${join(dirname(path), 'backups')}.`,
        },
        { cause },
      );
    }
  }

  async function writeJson(path: string, value: unknown): Promise<void> {
    await ensureDirectory(dirname(path), 0o700);
    await writeFileDurably(path, `${JSON.stringify(value, null, 2)}\n`);
  }

  const fenceFileOf = (product: ProductName, line: FenceLine = 'host') => (line === 'host' ? layoutOf(product).fenceFile : layoutOf(product).issuingFenceFile);
  const recoveredFile = (product: ProductName, runId: RunId) => join(layoutOf(product).recoveryDir, `${runId}.recovered.json`);

  return {
    readState: (product) => readJson<HostState>(layoutOf(product).stateFile, 'host state'),
    writeState: (state) => writeJson(layoutOf(state.product).stateFile, state),
    removeState: (product) => removeFileDurably(layoutOf(product).stateFile),
    readIntent: (product) => readJson<Intent>(layoutOf(product).intentFile, 'intent'),
    writeIntent: (intent) => writeJson(layoutOf(intent.product).intentFile, intent),
    removeIntent: (product) => removeFileDurably(layoutOf(product).intentFile),
    readFence: (product, line) => readJson<{ schema: 1; fence: number; runId: RunId }>(fenceFileOf(product, line), 'fence'),
    writeFence: (product, fence, runId, line) => writeJson(fenceFileOf(product, line), { schema: 1, fence, runId }),

    async writeRecovery(record, script) {
      const layout = layoutOf(record.product);
      const files = { record: layout.recoveryRecord(record.runId), script: layout.recoveryScript(record.runId) };
      await writeJson(files.record, record);
      await writeFileDurably(files.script, script, 0o700);
      return files;
    },
    readRecovery: (product, runId) => readJson<RecoveryRecord>(layoutOf(product).recoveryRecord(runId), 'recovery record'),
    async removeRecovery(product, runId) {
      const layout = layoutOf(product);
      await removeFileDurably(layout.recoveryScript(runId));
      await removeFileDurably(layout.recoveryRecord(runId));
    },

    async readRecovered(product) {
      const directory = layoutOf(product).recoveryDir;
      const found = [];
      for (const name of await namesIn(directory)) {
        if (!name.endsWith('.recovered.json')) continue;
        const mark = await readJson<{ schema: 1; runId: RunId; at: string; detail: Record<string, unknown> }>(join(directory, name), 'recovery mark');
        if (mark) found.push({ runId: mark.runId, at: mark.at, detail: mark.detail });
      }
      return found;
    },
    writeRecovered: (product, runId, at, detail) => writeJson(recoveredFile(product, runId), { schema: 1, runId, at, detail }),
    forgetRecovered: (product, runId) => removeFileDurably(recoveredFile(product, runId)),

    async products() {
      const base = root === '/' ? '' : root;
      const products: ProductName[] = [];
      for (const name of await namesIn(`${base}/var/lib`)) {
        if (!namePattern.test(name)) continue;
        const product = name as ProductName;
        const inside = await namesIn(layoutOf(product).fairleadDir);
        if (inside.some((entry) => entry === 'state.json' || entry === 'intent.json' || entry === 'recovery')) products.push(product);
      }
      return products.sort();
    },
  };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isMissing(error) || (error as { code?: string }).code === 'ENOTDIR') return [];
    throw error;
  }
}
