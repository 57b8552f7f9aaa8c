#!/usr/bin/env node
// What `docker` and Compose do for Fairlead's service manager, without a daemon and without privileges: a container is a process under a
// small supervisor that plays docker-init, with everything about it in files beside the address of the daemon (DOCKER_HOST or -H). Errors are
// worded as Docker 28 words them. There is no isolation, no image, and nobody who restarts a container; `docker compose` is there where the
// daemon's directory has a file `plugin`.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [name, ...words] = process.argv.slice(2);
const mark = 'STAND_IN_CONTAINER';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
class Refusal extends Error {}

let address = process.env.DOCKER_HOST ?? '';
if (words[0] === '-H') [, address] = words.splice(0, 2);
const home = dirname(address.replace(/^unix:\/\//, ''));
const containersDir = join(home, 'containers');

/** Options that take a value are told; what is left are the operands. `stopAtOperand`: everything from the first operand on belongs together. */
function parse(argv, valued, stopAtOperand = false) {
  const options = {};
  const operands = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at];
    if (!word.startsWith('--') || (stopAtOperand && operands.length > 0)) operands.push(word);
    else if (valued.includes(word)) (options[word] ??= []).push(argv[(at += 1)]);
    else (options[word] ??= []).push(true);
  }
  return { options, operands };
}

const read = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
};
function writeWhole(file, text) {
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}

function find(wanted) {
  if (!existsSync(home)) throw new Refusal(`Cannot connect to the Docker daemon at ${address}. Is the docker daemon running?`);
  for (const directory of existsSync(containersDir) ? readdirSync(containersDir) : []) {
    const path = join(containersDir, directory);
    const config = JSON.parse(read(join(path, 'config.json')) ?? 'null');
    if (config !== null && (directory === wanted || config.id === wanted)) return { path, ...config };
  }
  throw new Refusal(`Error response from daemon: No such container: ${wanted}`);
}

const exitCodeOf = ({ path }) => {
  const text = read(join(path, 'exit'));
  return text === null ? null : Number(text);
};
const pidOf = ({ path }) => Number(read(join(path, 'pid')) ?? 0);

function isAlive(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== null && stat[stat.lastIndexOf(')') + 2] !== 'Z';
}

/** One that has ended since it was looked for is none to send to. */
function send(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function childOf(pid) {
  return Number((read(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ')[0]);
}

/** Every process that was started in the container, whatever session it made for itself. */
function membersOf(id) {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && (read(`/proc/${entry}/environ`) ?? '').split('\0').includes(`${mark}=${id}`) && isAlive(entry)).map(Number);
}

async function create({ container, argv, env, cwd, labels, restart, image }) {
  const path = join(containersDir, container);
  mkdirSync(containersDir, { recursive: true });
  const id = randomBytes(32).toString('hex');
  try {
    mkdirSync(path);
  } catch {
    throw new Refusal(`Error response from daemon: Conflict. The container name "/${container}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`);
  }
  writeWhole(join(path, 'config.json'), JSON.stringify({ id, container, argv, env, cwd, labels, restart, image, startedAt: new Date().toISOString() }));
  const log = join(path, 'log');
  writeFileSync(log, '');
  const supervisor = spawn(process.execPath, [fileURLToPath(import.meta.url), 'supervise', path], { detached: true, stdio: 'ignore', env: { PATH: process.env.PATH } });
  supervisor.unref();
  while (read(join(path, 'pid')) === null) await pause(5);
  return id;
}

/** docker-init and the daemon's part of it: starts the program, writes its output down, ends what it leaves, and tells how it ended. */
function supervise(path) {
  const { id, argv, env, cwd } = JSON.parse(read(join(path, 'config.json')));
  const say = (stream, line) => appendFileSync(join(path, 'log'), `${stream} ${new Date().toISOString().replace('Z', `${String(process.hrtime.bigint() % 1_000_000n).padStart(6, '0')}Z`)} ${line}\n`);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => undefined);
  const child = spawn(argv[0], argv.slice(1), { cwd, env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...env, [mark]: id }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const stream of ['stdout', 'stderr']) {
    let rest = '';
    child[stream]?.setEncoding('utf8').on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) say(stream, line);
    });
  }
  const end = (code) => {
    for (const pid of membersOf(id)) send(pid, 'SIGKILL');
    writeWhole(join(path, 'exit'), String(code));
    process.exit();
  };
  child.once('error', () => {
    say('stderr', `[FATAL tini (7)] exec ${argv[0]} failed: No such file or directory`);
    end(127);
  });
  child.once('exit', (code, signal) => {
    // What it left behind holds its output open, and goes with it.
    for (const pid of membersOf(id)) send(pid, 'SIGKILL');
    child.once('close', () => end(code ?? 128 + constants.signals[signal]));
  });
  writeWhole(join(path, 'pid'), String(process.pid));
}

function signal(found, name) {
  if (exitCodeOf(found) !== null) throw new Refusal(`Error response from daemon: Cannot kill container: ${found.container}: Container ${found.id} is not running`);
  const child = childOf(pidOf(found));
  if (child > 0) send(child, name);
}

async function ended(found, limitMs = Infinity) {
  const deadline = performance.now() + limitMs;
  for (;;) {
    if (!existsSync(found.path)) throw new Refusal(`Error response from daemon: No such container: ${found.container}`);
    const code = exitCodeOf(found);
    if (code !== null || performance.now() > deadline) return code;
    await pause(10);
  }
}

async function remove(found) {
  if (exitCodeOf(found) === null) {
    signal(found, 'SIGKILL');
    await ended(found, 10_000);
  }
  rmSync(found.path, { recursive: true, force: true });
}

const docker = {
  container([what, ...rest]) {
    if (what !== 'inspect') throw new Refusal(`the stand-in has no docker container ${what}`);
    const found = find(rest[0]);
    const code = exitCodeOf(found);
    const pid = pidOf(found);
    const State = { Status: code === null ? 'running' : 'exited', Running: code === null, OOMKilled: false, Pid: code === null ? pid : 0, ExitCode: code ?? 0, Error: '', StartedAt: found.startedAt };
    console.log(JSON.stringify([{ Id: found.id, Name: `/${found.container}`, State, RestartCount: 0, HostConfig: { RestartPolicy: { Name: found.restart } }, Config: { Image: found.image, Labels: found.labels } }], null, 4));
  },
  kill(argv) {
    const { options, operands } = parse(argv, ['--signal']);
    signal(find(operands[0]), options['--signal']?.[0] ?? 'SIGKILL');
  },
  async wait(argv) {
    console.log(await ended(find(argv[0])));
  },
  async stop(argv) {
    const { options, operands } = parse(argv, ['--time']);
    const found = find(operands[0]);
    if (exitCodeOf(found) !== null) return;
    signal(found, 'SIGTERM');
    if ((await ended(found, Number(options['--time']?.[0] ?? 10) * 1000)) === null) signal(found, 'SIGKILL');
    await ended(found, 10_000);
  },
  rm: (argv) => remove(find(parse(argv, []).operands[0])),
  update(argv) {
    const { options, operands } = parse(argv, ['--restart']);
    const { path, ...config } = find(operands[0]);
    writeWhole(join(path, 'config.json'), JSON.stringify({ ...config, restart: options['--restart'][0] }));
  },
  logs(argv) {
    const { options, operands } = parse(argv, ['--tail']);
    const lines = (read(join(find(operands[0]).path, 'log')) ?? '').split('\n').slice(0, -1).slice(-Number(options['--tail']?.[0] ?? 1e9));
    for (const line of lines) {
      const [, stream, time, said] = /^(\S+) (\S+) (.*)$/.exec(line);
      process[stream].write(`${options['--timestamps'] ? `${time} ` : ''}${said}\n`);
    }
  },
  async run(argv) {
    const valued = ['--name', '--network', '--restart', '--stop-signal', '--stop-timeout', '--workdir', '--log-driver', '--log-opt', '--label', '--mount', '--env', '--entrypoint'];
    const { options, operands } = parse(argv, valued, true);
    const [image, ...rest] = operands;
    const env = Object.fromEntries((options['--env'] ?? []).filter((key) => process.env[key] !== undefined).map((key) => [key, process.env[key]]));
    const labels = Object.fromEntries(options['--label'].map((label) => label.split(/=(.*)/s)));
    console.log(await create({ container: options['--name'][0], argv: [options['--entrypoint'][0], ...rest], env, cwd: options['--workdir'][0], labels, restart: options['--restart'][0], image }));
  },
  image: () => console.log('sha256:0'),
  compose(argv) {
    if (!existsSync(join(home, 'plugin'))) throw new Refusal("docker: unknown command: docker compose\n\nRun 'docker --help' for more information");
    return compose('Docker Compose version v2.29.1', argv);
  },
};

async function compose(version, argv) {
  if (argv[0] === 'version') return console.log(version);
  const { options, operands } = parse(argv, ['--ansi', '--project-name', '--file']);
  if (operands[0] !== 'up') throw new Refusal(`the stand-in has no compose ${operands[0]}`);
  const { parse: parseYaml } = await import('yaml');
  const given = (text) =>
    text.replaceAll(/\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\?([^}]*)\})/g, (_all, variable, why) => {
      if (variable === undefined) return '$';
      if (process.env[variable] === undefined) throw new Refusal(`error while interpolating: required variable ${variable} is missing a value: ${why}`);
      return process.env[variable];
    });
  const walk = (value) => (typeof value === 'string' ? given(value) : Array.isArray(value) ? value.map(walk) : value !== null && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)])) : value);
  const service = walk(parseYaml(readFileSync(options['--file'][0], 'utf8'), { version: '1.1' })).services[operands[1]];
  for (const { source } of service.volumes) if (!existsSync(source)) throw new Refusal(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
  await create({ container: service.container_name, argv: service.entrypoint, env: service.environment, cwd: service.working_dir, labels: service.labels, restart: service.restart, image: service.image });
}

try {
  if (name === 'supervise') supervise(words[0]);
  else if (name === 'docker-compose') await compose('docker-compose version 1.29.2, build unknown', words);
  else if (docker[words[0]] !== undefined) await docker[words[0]](words.slice(1));
  else throw new Refusal(`docker: unknown command: docker ${words[0]}`);
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
