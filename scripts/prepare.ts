// The part of the set-up that needs Node 24: the Temporal CLI, what tests use of the machine, and then the command that was asked for.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FairleadError } from '../src/domain/failure.ts';
import { ensurePebble } from '../src/runtime/pebble-toolchain.ts';
import { ensureTemporalCli, findOnPath, installPackages, missingPrograms } from '../src/runtime/toolchain.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const say = (line: string): void => void process.stderr.write(`setup: ${line}\n`);

const commands: Readonly<Record<string, readonly string[]>> = {
  demo: ['scripts/demo.ts'],
  test: ['scripts/test.ts', 'all'],
  verify: ['scripts/test.ts', 'all'],
  'test:fast': ['scripts/test.ts', 'fast'],
};

/** What a command says beside its words. */
const environment: Readonly<Record<string, Readonly<Record<string, string>>>> = { verify: { FAIRLEAD_REQUIRE_ALL: '1' } };

const isTesting = (name: string | undefined): boolean => name !== undefined && name !== 'demo';

async function installPrograms(): Promise<void> {
  const missing = await missingPrograms(process.env);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => program.package))];
  const apt = await findOnPath('apt-get', process.env);
  if (apt === null || process.getuid?.() !== 0) {
    for (const { program, for: purpose } of missing) say(`${program} is not there: ${purpose}`);
    say(`to have ${packages.length === 1 ? 'it' : 'them'}: sudo apt-get install ${packages.join(' ')}`);
    return;
  }
  say(`installing ${packages.join(', ')} with apt (up to a minute, once) …`);
  const problem = await installPackages(apt, packages, process.env);
  if (problem !== null) say(`apt could not install them; tests that need them are skipped. It said: ${problem}`);
}

async function main(argv: readonly string[]): Promise<number> {
  const [option, name, ...rest] = argv;
  const command = option === '--run' ? commands[name ?? ''] : [];
  if (command === undefined || (option !== undefined && option !== '--run')) {
    say(`usage: node scripts/setup.mjs [--run ${Object.keys(commands).join('|')} [arguments…]]`);
    return 64;
  }
  Object.assign(process.env, environment[name ?? '']);
  await installPrograms();
  const temporal = await ensureTemporalCli(process.env, say);
  if (command.length === 0) {
    say(`ready. Temporal: ${temporal.path} (${temporal.version}). Next: npm run demo, npm test, or bin/fairlead dev`);
    return 0;
  }
  if (isTesting(name)) await ensurePebble(process.env, say);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...command, ...rest], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FAIRLEAD_TEMPORAL_CLI: temporal.path, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` },
  });
  // A terminal sends Ctrl-C to the whole group; a supervisor signals only this process. Both end the command first, and its end ends this.
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void child.kill(signal));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(error.message);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof FairleadError)) throw error;
  say(error.message);
  if (error.reason.hint !== undefined) say(error.reason.hint);
  process.exitCode = 1;
}
