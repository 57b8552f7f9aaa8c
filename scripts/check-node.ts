// npm run check:node: the node's artifact by itself, without the controller. Builds it in a temporary directory, looks for what may not be in it, checks the
// types of what it is made of alone, and starts it where there are no packages. Exits 1 with every problem.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { version } from '../src/runtime/version.ts';
import { isForbidden, problemsOf } from './release/node-contents.ts';
import { project } from './release/project.ts';
import { stageNode } from './release/stage-node.ts';

const problems: string[] = [];
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Everything that the node's entry points reach, read by the compiler that sees types as well. */
function checkTypes(): number {
  const { status, stdout } = spawnSync(join(project, 'node_modules/.bin/tsc'), ['-p', join(project, 'tsconfig.node.json'), '--noEmit', '--listFiles'], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const lines = stdout.split('\n');
  if (status !== 0) problems.push(...lines.filter((line) => /error TS/.test(line)).map((line) => `types: ${line}`), ...(lines.some((line) => /error TS/.test(line)) ? [] : [`types: tsc ended with ${status}`]));
  const files = lines.filter((line) => line.startsWith(`${project}/`)).map((line) => line.slice(project.length + 1));
  const own = files.filter((path) => !path.includes('node_modules/'));
  if (own.length < 50) problems.push(`types: only ${own.length} sources were read`);
  // Types of a package may name others; the sources may not.
  for (const path of own) if (isForbidden(path)) problems.push(`types: ${path} belongs to the controller`);
  return own.length;
}

/** Starts the programs with nothing around them but Node. */
function checkStart(directory: string): void {
  const run = (argv: readonly string[], env: Record<string, string> = {}) => {
    const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { cwd: directory, encoding: 'utf8', timeout: 60_000, env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, ...env } });
    return { status, stdout, said: `${stdout}${stderr}` };
  };
  const command = join(directory, 'bin/fairlead');
  const expect = (what: string, { status, said }: { status: number | null; said: string }, code: number, text: string): void => {
    if (status !== code || !said.includes(text)) problems.push(`${what}: ended with ${status} instead of ${code}, or did not say ${JSON.stringify(text)}: ${said.trim().slice(0, 600)}`);
  };
  expect('fairlead --version', run([command, '--version']), 0, version);
  expect('a node without a controller', run([command, 'serve', '--role', 'node', '--host-id', 'h1', '--root', directory]), 64, "controller's address");
  expect('the agent by itself', run([process.execPath, join(directory, 'lib/agent.mjs'), '--root', directory]), 64, "controller's address");
  expect('a controller from the artifact of a node', run([command, 'serve', '--role', 'controller']), 64, "role is controller, and this program is a node's");
  expect('fairlead recover where nothing was ever installed', run([command, 'recover', '--root', directory]), 64, 'no product of Fairlead below');
  expect('fairlead host install --help', run([command, 'host', 'install', '--help']), 0, '--manager');
}

const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-node-'));
try {
  const programs = await stageNode(directory);
  for (const { path, metafile } of programs) problems.push(...problemsOf(metafile).map((problem) => `${path}: ${problem}`));
  const sources = checkTypes();
  checkStart(directory);
  for (const { path, bytes, metafile } of programs) say(`${path}: ${(bytes / 1e6).toFixed(2)} MB of ${Object.keys(metafile.inputs).length} files`);
  say(`types of ${sources} sources are right without the controller's`);
} finally {
  await fs.rm(directory, { recursive: true, force: true });
}
for (const problem of problems) say(problem);
say(problems.length === 0 ? 'the node stands alone' : `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`);
process.exitCode = problems.length === 0 ? 0 : 1;
