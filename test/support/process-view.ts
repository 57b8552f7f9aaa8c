import * as fs from 'node:fs/promises';
import { readCommandLine, readProcess, socketInodes } from '../../src/adapters/process/proc.ts';

export interface SeenProcess {
  readonly pid: number;
  readonly commandLine: string;
}

/** The process and all that descend from it, as the kernel has them now. */
export async function processTree(pid: number): Promise<SeenProcess[]> {
  const pids = (await fs.readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const each of pids) {
    const stat = await readProcess(each);
    if (stat !== null) parents.set(each, stat.parentPid);
  }
  const isBelow = (each: number): boolean => each === pid || (parents.has(each) && parents.get(each)! > 1 && isBelow(parents.get(each)!));
  return Promise.all([...parents.keys()].filter(isBelow).sort((a, b) => a - b).map(async (each) => ({ pid: each, commandLine: await readCommandLine(each) })));
}

/** What the processes listen on, as `tcp 127.0.0.1:8421`: TCP and UDP, IPv4 and IPv6, by the inodes of the sockets that they hold. */
export async function listening(pids: readonly number[]): Promise<string[]> {
  const held = new Set((await Promise.all(pids.map(async (pid) => [...(await socketInodes(pid))]))).flat());
  const found: string[] = [];
  for (const protocol of ['tcp', 'tcp6', 'udp', 'udp6']) {
    const text = await fs.readFile(`/proc/net/${protocol}`, 'utf8').catch(() => '');
    for (const line of text.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      // 0A is LISTEN; a UDP socket that is bound and not connected has 07.
      if (!held.has(fields[9] ?? '') || fields[3] !== (protocol.startsWith('tcp') ? '0A' : '07')) continue;
      found.push(`${protocol} ${readAddress(fields[1] ?? '')}`);
    }
  }
  return found.sort();
}

/** `0100007F:20E5` is 127.0.0.1:8421: words of 32 bits in the byte order of the machine, which is little-endian wherever this runs. */
function readAddress(text: string): string {
  const [hex = '', port = ''] = text.split(':');
  const bytes = hex.match(/.{8}/g)?.flatMap((word) => word.match(/../g)!.reverse()) ?? [];
  const address = bytes.length === 4 ? bytes.map((byte) => Number.parseInt(byte, 16)).join('.') : (bytes.join('').match(/.{4}/g) ?? []).join(':');
  return `${address}:${Number.parseInt(port, 16)}`;
}

/** Files of native code that the process has mapped. */
export async function nativeModules(pid: number): Promise<string[]> {
  const maps = await fs.readFile(`/proc/${pid}/maps`, 'utf8');
  return [...new Set(maps.split('\n').flatMap((line) => /\s(\/.*\.node)$/.exec(line)?.[1] ?? []))];
}
