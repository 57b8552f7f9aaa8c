import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../src/adapters/ports/free-port.ts';
import type { Artifact } from '../../../src/domain/bundle/artifact.ts';
import { findOnPath, installPackages, peerProgram } from '../../../src/runtime/toolchain.ts';
import { processorMsOfTrees } from '../proc.ts';

export interface Took {
  readonly wallMs: number;
  readonly processorMs: number;
}

export interface AnsibleSide {
  readonly version: string;
  rollOut(file: string, artifact: Artifact): Promise<Took>;
  /** Ends the playbook that runs, and every instance that one has started. */
  end(): Promise<void>;
}

/** The playbook beside this file, over so many roots below `dir`. @throws Error where Ansible is missing and cannot be installed */
export async function createAnsibleSide(dir: string, roots: number, say: (line: string) => void): Promise<AnsibleSide> {
  const program = await ensureAnsible(say);
  const taken = new Set<number>();
  const places: { readonly root: string; readonly port: number }[] = [];
  for (let at = 1; at <= roots; at += 1) {
    const port = await freePort(taken);
    taken.add(port);
    const root = join(dir, `root-${String(at).padStart(2, '0')}`);
    await fs.mkdir(join(root, 'releases'), { recursive: true });
    places.push({ root, port });
  }
  const inventory = join(dir, 'inventory.ini');
  await fs.writeFile(inventory, ['[roots]', ...places.map(({ root, port }, at) => `n${String(at + 1).padStart(2, '0')} root=${root} port=${port}`), ''].join('\n'));
  // In its favour: no facts, no extra round trip for each module, and nothing looked up about the interpreter.
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, LANG: 'C.UTF-8', ANSIBLE_FORKS: '5', ANSIBLE_PIPELINING: 'True', ANSIBLE_NOCOLOR: '1', ANSIBLE_LOCAL_TEMP: join(dir, 'tmp'), ANSIBLE_REMOTE_TEMP: join(dir, 'tmp'), ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3' };
  const playbook = join(import.meta.dirname, 'playbook.yml');
  let running: ChildProcess | null = null;

  const instances = (): number[] =>
    places.flatMap(({ root }) => {
      try {
        const pid = Number(readFileSync(join(root, 'api.pid'), 'utf8'));
        // The number may have been given to another process since.
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('server.mjs') && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`PORT=${places.find((place) => place.root === root)?.port}`) ? [pid] : [];
      } catch {
        return [];
      }
    });

  return {
    version: await outputOf(program, ['--version']).then((text) => text.split('\n')[0] ?? ''),
    async rollOut(file, { releaseId, sha256 }) {
      const vars = { release: releaseId, bundle: file, sha256, restart: join(import.meta.dirname, 'restart.sh'), node: process.execPath };
      const began = performance.now();
      // What the shell has waited for when the playbook has ended is all that Ansible has used.
      const child = spawn('sh', ['-c', '"$@" >"$LOG" 2>&1; code=$?; cat /proc/$$/stat; exit $code', 'sh', program, '-i', inventory, playbook, '-e', JSON.stringify(vars)], { env: { ...env, LOG: join(dir, 'playbook.log') }, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
      running = child;
      let stat = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stat += text));
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      running = null;
      const wallMs = performance.now() - began;
      if (code !== 0) throw new Error(`the playbook ended with ${code}:\n${(await fs.readFile(join(dir, 'playbook.log'), 'utf8')).slice(-2_000)}`);
      const fields = stat.replace(/^.*\) /s, '').split(' ').map(Number);
      const ansible = [11, 12, 13, 14].reduce((sum, at) => sum + (fields[at] ?? 0), 0) * 10;
      // Instances left their parents; each is new.
      return { wallMs, processorMs: ansible + processorMsOfTrees(instances()) };
    },
    async end() {
      if (running?.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
      for (const pid of instances()) process.kill(pid, 'SIGTERM');
      for (const pid of instances()) for (let look = 0; look < 100 && instances().includes(pid); look += 1) await sleep(50);
    },
  };
}

async function ensureAnsible(say: (line: string) => void): Promise<string> {
  const found = await findOnPath(peerProgram.program, process.env);
  if (found !== null) return found;
  const apt = await findOnPath('apt-get', process.env);
  const byHand = `install it by hand: sudo apt-get install ${peerProgram.package}`;
  if (apt === null || process.getuid?.() !== 0) throw new Error(`there is no ${peerProgram.program}; ${byHand}`);
  say(`installing ${peerProgram.package} with apt (up to a minute, once) …`);
  const problem = await installPackages(apt, [peerProgram.package], process.env);
  const installed = await findOnPath(peerProgram.program, process.env);
  if (installed === null) throw new Error(`apt could not install ${peerProgram.package} (${problem}); ${byHand}`);
  return installed;
}

function outputOf(program: string, argv: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    child.once('error', reject);
    child.once('close', () => resolve(text));
  });
}
