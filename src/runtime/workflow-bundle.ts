import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const projectDirectory = fileURLToPath(new URL('../../', import.meta.url));

/**
 * The workflows as the one file that the worker's sandbox runs. Made once for each version of their sources and kept in `dist/`: a worker that
 * starts again after a crash has to be back in a moment.
 */
export async function workflowBundle(): Promise<string> {
  const file = join(projectDirectory, 'dist', `workflows-${await digestOfSources()}.js`);
  try {
    await fs.access(file);
    return file;
  } catch {
    const { code } = await bundleWorkflowCode({ workflowsPath: join(projectDirectory, 'workflows/index.ts'), logger: { ...silent } });
    await fs.mkdir(join(projectDirectory, 'dist'), { recursive: true });
    const temporary = `${file}.${process.pid}.tmp`;
    await fs.writeFile(temporary, code);
    await fs.rename(temporary, file);
    return file;
  }
}

/** Everything that the workflows reach, and the lock file, which stands for the SDK that bundles them. */
async function digestOfSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['workflows', 'src/domain']) {
    const names = (await fs.readdir(join(projectDirectory, folder), { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
    for (const name of names) hash.update(name).update(await fs.readFile(join(projectDirectory, folder, name)));
  }
  hash.update(await fs.readFile(join(projectDirectory, 'package-lock.json')));
  return hash.digest('hex').slice(0, 16);
}

const nothing = (): void => undefined;
const silent = { log: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: (message: string) => process.stderr.write(`${message}\n`) };
