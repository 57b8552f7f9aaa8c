import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { FairleadError } from '../domain/failure.ts';

/**
 * The programs that npm does not bring: the Temporal CLI, which holds a development server, and what tests use of the machine.
 * Whatever takes longer than a moment is said before it begins.
 */
export const temporalCliVersion = '1.5.1';
/** The oldest server that Fairlead is written against. */
export const oldestTemporalServer = '1.29';

export type Say = (line: string) => void;
type Environment = Readonly<Record<string, string | undefined>>;

/** Where downloaded and built tools are kept, one directory per version, shared by every checkout of this user. */
export function toolsDirectory(env: Environment): string {
  const cache = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache');
  return join(cache, 'fairlead', 'tools');
}

export interface FoundTool {
  readonly path: string;
  /** What the tool says of itself, in one line. */
  readonly version: string;
  /** Where it was found: `FAIRLEAD_TEMPORAL_CLI`, `PATH`, `cache`. */
  readonly source: string;
}

/**
 * Looks for the Temporal CLI: `FAIRLEAD_TEMPORAL_CLI`, the PATH, the cache, in this order. Starts nothing but `temporal --version`.
 * @returns null where there is none
 * @throws FairleadError `temporal_cli_unusable` where FAIRLEAD_TEMPORAL_CLI names one that does not run or is too old
 */
export async function findTemporalCli(env: Environment): Promise<FoundTool | null> {
  const named = env['FAIRLEAD_TEMPORAL_CLI'];
  if (named !== undefined && named !== '') {
    const found = await askTemporal(named, 'FAIRLEAD_TEMPORAL_CLI');
    if (found !== null) return found;
    throw new FairleadError({
      class: 'host',
      code: 'temporal_cli_unusable',
      message: `FAIRLEAD_TEMPORAL_CLI is ${named}, which does not run or holds a server older than ${oldestTemporalServer}`,
      hint: 'unset it to have one found or built, or name another one',
    });
  }
  for (const directory of (env['PATH'] ?? '').split(delimiter).filter((name) => name !== '')) {
    const found = await askTemporal(join(directory, 'temporal'), 'PATH');
    if (found !== null) return found;
  }
  return askTemporal(cachedTemporalCli(env), 'cache');
}

/**
 * As `findTemporalCli`, and where there is none: downloads it, else builds it with Go, into the cache.
 * @throws FairleadError `temporal_cli_missing`, whose message says what was tried
 */
export async function ensureTemporalCli(env: Environment, say: Say): Promise<FoundTool> {
  const found = await findTemporalCli(env);
  if (found !== null) return found;
  const target = cachedTemporalCli(env);
  await mkdir(join(target, '..'), { recursive: true });
  await sweepScratch(join(target, '..'));
  const tried: string[] = [];
  for (const { takes, get } of [
    { takes: `downloading the Temporal CLI ${temporalCliVersion} (some 50 MB, once; gives up after 10 s without an answer)`, get: downloadTemporal },
    { takes: `building the Temporal CLI ${temporalCliVersion} with Go (about 2.5 minutes, once)`, get: buildTemporal },
  ]) {
    say(`${takes} …`);
    const problem = await get(target, env);
    const ready = problem === null ? await askTemporal(target, 'cache') : null;
    if (ready !== null) return ready;
    tried.push(problem ?? 'what came does not run');
    say(`  did not work: ${tried.at(-1)}`);
  }
  throw new FairleadError({
    class: 'host',
    code: 'temporal_cli_missing',
    message: `there is no Temporal CLI, and it could neither be downloaded (${tried[0]}) nor built (${tried[1]})`,
    hint: 'install it (https://docs.temporal.io/cli) so that `temporal` is on the PATH, or set FAIRLEAD_TEMPORAL_CLI to it, or set FAIRLEAD_TEMPORAL_ADDRESS to a running server',
  });
}

/** The path of a program on the PATH, or null. */
export async function findOnPath(name: string, env: Environment): Promise<string | null> {
  // sbin is where nginx and mkfs lie; a user's PATH often leaves it out.
  const directories = [...(env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'].filter((directory) => directory !== '');
  for (const directory of directories) {
    const path = join(directory, name);
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path;
  }
  return null;
}

/** Programs of the machine that parts of Fairlead or of its tests use, by the Debian package that holds each. */
export const machinePrograms = [
  { program: 'nginx', package: 'nginx-light', for: 'the nginx router; without it the embedded router is used' },
  { program: 'strace', package: 'strace', for: 'tests that fail system calls' },
  { program: 'xfs_io', package: 'xfsprogs', for: 'tests that cut the power of a file system' },
  { program: 'mkfs.ext4', package: 'e2fsprogs', for: 'tests that cut the power of a file system' },
] as const;

/**
 * What the tests against real service managers need. It changes how a machine works (a second init system, a container daemon), so it is
 * installed only where FAIRLEAD_REQUIRE_ALL=1 says that the machine is there for testing.
 */
export const serviceManagerPrograms = [
  { program: 'rc-service', package: 'openrc', for: 'tests against OpenRC' },
  { program: 'dockerd', package: 'docker.io', for: 'tests against Docker, and the container in which systemd is tested' },
  { program: 'openssl', package: 'openssl', for: 'the certificates that deploy/make-secrets.sh makes' },
  { program: 'docker-compose', package: 'docker-compose', for: 'tests against compose' },
  { program: 'debootstrap', package: 'debootstrap', for: 'the image in which systemd is tested' },
] as const;

/** Likewise: what the tests of certificates use beside pebble, which is built (`ensurePebble`). */
export const certificatePrograms = [{ program: 'certbot', package: 'certbot', for: 'tests against certbot' }] as const;

/** What a bench compares Fairlead with: installed by that bench, where it is missing. */
export const peerProgram = { program: 'ansible-playbook', package: 'ansible-core', for: 'the bench beside Ansible' } as const;

export type MachineProgram = (typeof machinePrograms)[number] | (typeof serviceManagerPrograms)[number] | (typeof certificatePrograms)[number];

/** The programs that this machine should have and has not. */
export async function missingPrograms(env: Environment): Promise<MachineProgram[]> {
  const wanted: readonly MachineProgram[] = env['FAIRLEAD_REQUIRE_ALL'] === '1' ? [...machinePrograms, ...serviceManagerPrograms, ...certificatePrograms] : machinePrograms;
  const found = await Promise.all(wanted.map(({ program }) => findOnPath(program, env)));
  return wanted.filter((_, at) => found[at] === null);
}

/** Installs packages of the distribution. @param apt the path of apt-get @returns null, or what apt said last where it could not */
export async function installPackages(apt: string, packages: readonly string[], env: Environment): Promise<string | null> {
  const options = { timeoutMs: 600_000, env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } };
  const install = [apt, 'install', '--yes', '--no-install-recommends', ...packages];
  let { code, output } = await runProgram(install, options);
  if (code !== 0) {
    await runProgram([apt, 'update'], options);
    ({ code, output } = await runProgram(install, options));
  }
  return code === 0 ? null : (output.trim().split('\n').at(-1) ?? '');
}

const cachedTemporalCli = (env: Environment): string => join(toolsDirectory(env), temporalCliVersion, 'temporal');

/** Null unless `path` runs and its server is new enough. */
async function askTemporal(path: string, source: string): Promise<FoundTool | null> {
  if (!(await access(path, constants.X_OK).then(() => true, () => false))) return null;
  const { code, output } = await runProgram([path, '--version'], { timeoutMs: 20_000 });
  const version = output.trim().split('\n')[0] ?? '';
  const server = /Server (\d+)\.(\d+)/.exec(version);
  const [major, minor] = oldestTemporalServer.split('.').map(Number);
  const recent = server !== null && (Number(server[1]) > major! || (Number(server[1]) === major && Number(server[2]) >= minor!));
  return code === 0 && recent ? { path, version, source } : null;
}

/** Null, or why it did not work. */
async function downloadTemporal(target: string): Promise<string | null> {
  const platform = process.platform;
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const address = `https://temporal.download/cli/archive/v${temporalCliVersion}?platform=${platform}&arch=${architecture}`;
  const scratch = await mkdtemp(join(target, '..', '.download-'));
  try {
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(new Error('no answer within 10 s')), 10_000);
    const response = await fetch(address, { signal: abort.signal });
    clearTimeout(limit);
    if (!response.ok) return `${new URL(address).hostname} answered ${response.status}`;
    const archive = join(scratch, 'temporal.tar.gz');
    await writeFile(archive, new Uint8Array(await response.arrayBuffer()));
    const { code, output } = await runProgram(['tar', '-xzf', archive, '-C', scratch, 'temporal'], { timeoutMs: 60_000 });
    if (code !== 0) return `tar: ${output.trim()}`;
    await chmod(join(scratch, 'temporal'), 0o755);
    await rename(join(scratch, 'temporal'), target);
    return null;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Null, or why it did not work. */
const buildTemporal = (target: string, env: Environment): Promise<string | null> => installWithGo([`github.com/temporalio/cli/cmd/temporal@v${temporalCliVersion}`], join(target, '..'), env);

/**
 * Builds commands with Go and puts each into `directory`, which is there.
 * @param packages each with its version, all of one module
 * @returns null, or why it did not work
 */
export async function installWithGo(packages: readonly string[], directory: string, env: Environment): Promise<string | null> {
  const go = (await findOnPath('go', env)) ?? (await findOnPath('go', { PATH: '/usr/local/go/bin' }));
  if (go === null) return 'there is no Go on this machine';
  // A build of its own beside the target: two of them may run at once, and a killed one leaves nothing that looks whole.
  const scratch = await mkdtemp(join(directory, '.build-'));
  try {
    const { code, output } = await runProgram([go, 'install', ...packages], { timeoutMs: 1_200_000, env: { ...env, GOBIN: scratch } });
    if (code !== 0) return `go install ended with ${code ?? 'a signal'}: ${output.trim().split('\n').slice(-3).join(' ')}`;
    for (const name of await readdir(scratch)) await rename(join(scratch, name), join(directory, name));
    return null;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Removes what builds and downloads left that were killed; one of the last hour may still be at work. */
async function sweepScratch(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (/^\.(build|download)-/.test(name) && Date.now() - (await stat(path)).mtimeMs > 3_600_000) await rm(path, { recursive: true, force: true });
  }
}

/** Runs a program to its end. `code` is null where it could not be started, was killed, or went past the limit; output is both streams. */
export function runProgram(argv: readonly string[], options: { timeoutMs: number; env?: Environment; uid?: number; gid?: number; cwd?: string }): Promise<{ code: number | null; output: string }> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], timeout: options.timeoutMs, killSignal: 'SIGKILL', ...(options.env === undefined ? {} : { env: options.env as NodeJS.ProcessEnv }), ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }), ...(options.cwd === undefined ? {} : { cwd: options.cwd }) });
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-64 * 1024);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve({ code: null, output: error.message }));
    child.once('close', (code) => resolve({ code, output }));
  });
}
