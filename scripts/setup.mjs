// Makes a fresh checkout ready, then runs what was asked: node scripts/setup.mjs [--run demo|test|test:fast|verify [arguments…]]
// Plain JavaScript without dependencies, because it has to run before there are any, on the machine's own Node (20 or newer).
// It brings node_modules, which bring the Node that everything else runs on; scripts/prepare.ts goes on with that one.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.fairlead-lock-hash');

const say = (line) => process.stderr.write(`setup: ${line}\n`);
const lockHash = () => createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex');

/** Two `npm ci` at once destroy each other's work: the second waits for the first. The lock names its owner, so a dead one's is taken over. */
function withLock(work) {
  const lock = join(root, '.setup-lock');
  const owner = join(lock, 'pid');
  for (let waited = false; ; ) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = existsSync(owner) ? Number(readFileSync(owner, 'utf8')) : null;
    const young = pid === null && Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0) < 5_000;
    if (!young && (pid === null || !isAlive(pid))) {
      rmSync(lock, { recursive: true, force: true });
      continue;
    }
    if (!waited) say(`another set-up${pid === null ? '' : ` (process ${pid})`} is at work in this checkout; waiting for it`);
    waited = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
  }
  writeFileSync(owner, String(process.pid));
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', release);
  work();
  process.removeListener('exit', release);
  release();
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

const modulesAreCurrent = () => existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === lockHash();

function installModules() {
  if (modulesAreCurrent()) return;
  withLock(() => {
    if (modulesAreCurrent()) return;
    say(`installing npm packages (${existsSync(modules) ? 'the lock file changed' : 'first time'}; about a minute) …`);
    const started = Date.now();
    const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
    // The Node of an earlier install may be first on the PATH; npm ci would delete it while it runs.
    const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.startsWith(modules)).join(delimiter);
    const { status } = spawnSync(npm[0], [...npm.slice(1), 'ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, PATH: path } });
    if (status !== 0) {
      say(`npm ci failed (exit ${status}); what it wrote is above. Mend it and run the same command again.`);
      process.exit(1);
    }
    writeFileSync(stamp, `${lockHash()}\n`);
    say(`npm packages are there (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  });
}

installModules();
const bin = join(modules, '.bin');
const child = spawn(join(bin, 'node'), ['--disable-warning=ExperimentalWarning', join(root, 'scripts/prepare.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
});
// A terminal sends Ctrl-C to the whole group; what a supervisor sends to this process alone is handed on. Its end is ours.
process.on('SIGINT', () => undefined);
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.once('error', (error) => {
  say(`cannot start ${join(bin, 'node')}: ${error.message}; remove node_modules and run the same command again`);
  process.exit(1);
});
child.once('close', (code) => process.exit(code ?? 130));
