import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bundleCreate } from '../../src/cli/bundle.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { isForbidden, notOnNodes, problemsOf } from '../../scripts/release/node-contents.ts';
import { stageNode, type NodeProgram } from '../../scripts/release/stage-node.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { listening, nativeModules, processTree } from '../support/process-view.ts';
import { project } from '../support/stack.ts';

const limitMs = 120_000;
const path = `${dirname(process.execPath)}:/usr/bin:/bin`;
const checkout = join(project, 'bin/fairlead');

let work: string;
let artifact: string;
let programs: NodeProgram[];

beforeAll(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-role-'));
  const staged = join(work, 'staged');
  await fs.mkdir(staged);
  programs = await stageNode(staged);
  // As a host has it: named by the release, with its manifest as it stands in the bundle.
  const { file } = await bundleCreate({ directory: staged, release: 'r7', role: 'node', output: join(work, 'node.tar.gz') });
  artifact = join(work, 'opt/fairlead/releases/r7');
  await fs.mkdir(artifact, { recursive: true });
  if (spawnSync('tar', ['-xzf', file, '-C', artifact]).status !== 0) throw new Error('the bundle of the node cannot be unpacked');
  await buildAgent();
}, 180_000);
afterAll(() => fs.rm(work, { recursive: true, force: true }));

function run(command: string, argv: readonly string[], env: Record<string, string> = {}): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(command, argv, { encoding: 'utf8', cwd: work, timeout: limitMs, env: { PATH: path, ...env } });
  return { code: status, said: `${stdout}${stderr}` };
}

describe('the role, by the real command: flag before environment before file before controller', () => {
  const needsController = /a node has to know its controller's address.*--controller VALUE.*FAIRLEAD_API_URL.*configuration file/;
  const needsDatabase = /a controller keeps its runs and its audit in PostgreSQL, and none is given/;

  test.each<{ name: string; argv?: string[]; env?: Record<string, string>; file?: string; says: RegExp }>([
    { name: 'nothing says a role: a controller', says: needsDatabase },
    { name: 'the file says node', file: 'role: node\n', says: needsController },
    { name: 'the environment says controller, the file node', env: { FAIRLEAD_ROLE: 'controller' }, file: 'role: node\n', says: needsDatabase },
    { name: 'the flag says node, the environment controller', argv: ['--role', 'node'], env: { FAIRLEAD_ROLE: 'controller' }, says: needsController },
    { name: 'the flag says controller, everything else node', argv: ['--role', 'controller'], env: { FAIRLEAD_ROLE: 'node' }, file: 'role: node\n', says: needsDatabase },
    { name: 'a role that there is not', argv: ['--role', 'boss'], says: /role is "boss": expected one of controller, node/ },
    { name: 'a part of a controller is asked of a node', argv: ['--role', 'node', '--controller', 'http://c', '--host-id', 'h1', '--part', 'api'], says: /a node has no part api/ },
    { name: "a node's health beyond loopback", argv: ['--role', 'node', '--controller', 'http://c', '--host-id', 'h1', '--health-listen', '0.0.0.0:8421'], says: /listens on loopback only/ },
  ])('$name: refused with 64, and it is said what is missing', async ({ argv = [], env = {}, file = '', says }) => {
    const root = await fs.mkdtemp(join(work, 'root-'));
    await fs.mkdir(join(root, 'etc/fairlead'), { recursive: true });
    await fs.writeFile(join(root, 'etc/fairlead/config.yaml'), file);
    const { code, said } = run(checkout, ['serve', '--root', root, ...argv], env);
    expect(said).toMatch(says);
    expect(code).toBe(64);
  }, limitMs);

  test('the artifact of a node is a node without being told, refuses to be a controller, and says how to give the address', () => {
    const command = join(artifact, 'bin/fairlead');
    const alone = run(command, ['serve', '--root', work]);
    expect(alone.said).toMatch(needsController);
    expect(alone.code).toBe(64);
    expect(run(command, ['serve', '--root', work], { FAIRLEAD_ROLE: 'controller' })).toEqual({ code: 64, said: expect.stringContaining("FAIRLEAD_ROLE: role is controller, and this program is a node's") });
  }, limitMs);
});

describe("what is in a node's programs", () => {
  test('nothing of the controller, nothing native, no import that leads out of the file', () => {
    expect(programs.map(({ path: name }) => name)).toEqual(['lib/agent.mjs', 'lib/fairlead.mjs']);
    for (const { metafile } of programs) {
      expect(Object.keys(metafile.inputs).length).toBeGreaterThan(100);
      expect(problemsOf(metafile)).toEqual([]);
    }
  });
  test('no packages beside them, and no path of the machine that built them', async () => {
    expect((await fs.readdir(artifact, { recursive: true })).filter((name) => !name.startsWith('fairlead.files.json')).sort()).toEqual(['bin', 'bin/fairlead', 'fairlead.yaml', 'lib', 'lib/agent.mjs', 'lib/fairlead.mjs']);
    for (const { path: name } of programs) expect((await fs.readFile(join(artifact, name), 'utf8')).includes(project)).toBe(false);
  });
});

describe.each(['checkout', 'artifact'] as const)('a node that runs from the %s, with no controller and no Temporal to be reached', (from) => {
  let pid: number;
  let health: string;
  let healthPort: number;
  let loadedFile: string;
  let output = '';
  let ended: Promise<number | null>;
  const child: { kill(signal: NodeJS.Signals): boolean }[] = [];

  beforeAll(async () => {
    const root = await fs.mkdtemp(join(work, 'host-'));
    healthPort = await freePort();
    health = `http://127.0.0.1:${healthPort}/health`;
    loadedFile = join(root, 'loaded.txt');
    // Every module that any of the processes loads, by the process.
    const spy = join(root, 'spy.mjs');
    await fs.writeFile(spy, `import { registerHooks } from 'node:module'; import { appendFileSync } from 'node:fs';\nregisterHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(loadedFile)}, process.pid + ' ' + url + '\\n'); return next(url, context); } });\n`);
    const environmentFile = join(root, 'agent.env');
    await fs.writeFile(environmentFile, ['FAIRLEAD_ROLE=node', 'FAIRLEAD_HOST_ID=h1', `FAIRLEAD_API_URL=http://127.0.0.1:${await freePort()}`, 'FAIRLEAD_API_KEY=none-is-asked-for', `FAIRLEAD_TEMPORAL_ADDRESS=127.0.0.1:${await freePort()}`, 'FAIRLEAD_ROUTER=embedded', `FAIRLEAD_HEALTH_LISTEN=127.0.0.1:${healthPort}`, ''].join('\n'), { mode: 0o600 });
    const command = from === 'checkout' ? checkout : join(artifact, 'bin/fairlead');
    const env = { PATH: path, FAIRLEAD_ROOT: root, FAIRLEAD_ENV_FILE: environmentFile, NODE_OPTIONS: `--import=${spy} --report-on-signal --report-directory=${root} --report-filename=report.json` };
    const started = spawn(command, ['serve', '--role', 'node'], { cwd: work, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.push(started);
    for (const stream of [started.stdout, started.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    ended = new Promise((resolve) => started.once('exit', resolve));
    pid = started.pid!;
    await eventually(`it answers on loopback (${output})`, async () => (await fetch(`${health}/live`)).ok, limitMs);
  }, limitMs + 30_000);
  afterAll(async () => {
    child[0]?.kill('SIGTERM');
    // It ends although it has never reached anybody.
    expect([await ended, output]).toEqual([0, expect.stringContaining('agent is at work')]);
    expect(await processTree(pid)).toEqual([]);
  }, limitMs);

  const agent = async () => (await processTree(pid)).find(({ commandLine }) => commandLine.includes('agent.mjs'))!;

  test('is at work all the same, says which release it is, and that control does not hear it', async () => {
    // It answers before it has polled, and takes control for one that hears it until the first word to it has failed.
    const told = await eventually('it polls, and has not been heard', async () => {
      const response = await fetch(`${health}/ready`);
      const body = (await response.json()) as { controlHears: boolean };
      return response.status === 200 && !body.controlHears && body;
    }, limitMs);
    expect(told).toMatchObject({ healthy: true, host: 'h1', role: 'node', releaseId: from === 'artifact' ? 'r7' : null, controlHears: false });
  }, limitMs);

  test('listens on the loopback health port and on nothing else', async () => {
    expect(await listening((await processTree(pid)).map((process) => process.pid))).toEqual([`tcp 127.0.0.1:${healthPort}`]);
  }, limitMs);

  test('is the agent, and where it runs from a checkout the process that watches over it: no server, no database, no worker', async () => {
    const lines = (await processTree(pid)).map(({ commandLine }) => commandLine.replaceAll(/--\S+ (?=.*\.(mjs|ts))/g, ''));
    const [watcher, ...agents] = from === 'checkout' ? lines : [null, ...lines];
    if (watcher !== null) expect(watcher).toMatch(/src\/cli\/main\.ts serve --role node$/);
    expect(agents).toEqual([expect.stringMatching(/(dist|lib)\/agent\.mjs --role node$/)]);
  }, limitMs);

  test('has loaded one file and modules of Node, and no native code', async () => {
    const { pid: agentPid } = await agent();
    const loaded = (await fs.readFile(loadedFile, 'utf8')).trim().split('\n').map((line) => line.split(' ') as [string, string]);
    const files = loaded.filter(([by, url]) => by === String(agentPid) && !url.startsWith('node:')).map(([, url]) => url);
    expect([...new Set(files)].filter((url) => !url.endsWith('/spy.mjs'))).toEqual([expect.stringMatching(/\/(dist|lib)\/agent\.mjs$/)]);
    // The watcher has the commands of the whole Fairlead, and still no server, no store and no worker.
    const packages = loaded.map(([, url]) => url).filter((url) => url.includes('/node_modules/') && isForbidden(url.slice(url.indexOf('node_modules/'))));
    expect([notOnNodes.packages.includes('fastify'), packages]).toEqual([true, []]);
    for (const process of await processTree(pid)) expect(await nativeModules(process.pid)).toEqual([]);
    process.kill(agentPid, 'SIGUSR2');
    const report = await eventually('the report of the process', async () => JSON.parse(await fs.readFile(join(dirname(loadedFile), 'report.json'), 'utf8')) as { sharedObjects: string[] }, limitMs);
    expect(report.sharedObjects.length).toBeGreaterThan(2);
    expect(report.sharedObjects.filter((name) => name.endsWith('.node') || name.includes('node_modules/@') || /libpq|temporal/.test(name))).toEqual([]);
  }, limitMs);
});
