import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, type BundleOptions } from '@temporalio/worker';

type WebpackConfiguration = Parameters<NonNullable<BundleOptions['webpackConfigHook']>>[0];

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
    const { code } = await bundleWorkflowCode({ workflowsPath: join(projectDirectory, 'workflows/index.ts'), failureConverterPath: join(projectDirectory, 'workflows/support/failure-converter.ts'), workflowInterceptorModules: [join(projectDirectory, 'workflows/support/trace-header.ts')], logger: { ...silent }, webpackConfigHook: independentOfPlace });
    await fs.mkdir(join(projectDirectory, 'dist'), { recursive: true });
    const temporary = `${file}.${process.pid}.tmp`;
    await fs.writeFile(temporary, withoutPlace(code));
    await fs.rename(temporary, file);
    return file;
  }
}

/** The bundle for a worker whose payloads are encrypted: failures are told in a payload as well. */
export async function codedWorkflowCode(): Promise<string> {
  const code = await fs.readFile(await workflowBundle(), 'utf8');
  const coded = code.replaceAll('fairlead-failures-plain', 'fairlead-failures-coded');
  if (coded === code) throw new Error('the bundle of the workflows does not say how failures are told');
  return coded;
}

/** The same code wherever the project lies (of the source map, columns of the generated entry differ with the length of its path): modules and the source map are named from its directory, and the paths that were asked for are left out. */
function independentOfPlace(config: WebpackConfiguration): WebpackConfiguration {
  const nameOf = ({ absoluteResourcePath: path }: { absoluteResourcePath: string }): string => path.replaceAll(projectDirectory, '');
  return { ...config, context: projectDirectory, output: { ...config.output, pathinfo: false, devtoolModuleFilenameTemplate: nameOf } };
}

/** What webpack writes of places into the source map by itself: the project's directory, and a hash that depends on it. */
function withoutPlace(code: string): string {
  const mark = 'sourceMappingURL=data:application/json;charset=utf-8;base64,';
  const at = code.lastIndexOf(mark);
  if (at === -1) return code;
  const text = Buffer.from(code.slice(at + mark.length).trim(), 'base64').toString('utf8').replaceAll(projectDirectory, '');
  const map = { ...(JSON.parse(text) as Record<string, unknown>), file: 'workflows.js' };
  return `${code.slice(0, at)}${mark}${Buffer.from(JSON.stringify(map)).toString('base64')}\n`;
}

/** Everything that the workflows reach. */
async function digestOfSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['workflows', 'src/domain']) {
    const names = (await fs.readdir(join(projectDirectory, folder), { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
    for (const name of names) hash.update(name).update(await fs.readFile(join(projectDirectory, folder, name)));
  }
  // The lock file stands for the SDK that bundles them; how it is asked to counts as well.
  for (const path of ['package-lock.json', 'src/runtime/workflow-bundle.ts']) hash.update(await fs.readFile(join(projectDirectory, path)));
  return hash.digest('hex').slice(0, 16);
}

const nothing = (): void => undefined;
const silent = { log: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: (message: string) => process.stderr.write(`${message}\n`) };
