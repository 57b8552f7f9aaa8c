import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { ensureDirectory, errnoOf, isMissing, writeFileDurably } from '../../files/durable.ts';
import { addAttempt, mergeTally, type Tally } from '../figures.ts';
import { poolMark } from './commands.ts';
import { parseTrafficLine } from './parse.ts';
import type { Pool } from './pools.ts';

/**
 * The log of requests is a file for each hundred seconds, `<number of the hundred>.log`, and nginx writes only to those that are there. Whoever
 * looks at the router makes the next ones. So nothing is written on a host at which nobody looks, the log of one that lost its agent stops
 * growing by itself, and no signal or rename has to be right in time with nginx, whose workers may not even be able to make files here.
 *
 * The first line of a file is `#` and the moment from which on it is written to. Complete files that take more than their room are added up
 * (`<number>.json`): a window that begins inside of such a file begins with it.
 */
const periodMs = 100_000;
/** Files ahead: for so long after the last look, requests are still written down. */
const aheadPeriods = 10;
const keptBytes = 16 * 1024 * 1024;
/** Longer than a tier of a canary may be held. */
const keptPeriods = 1_080;
/** A worker may be about to write into the file of the period before. */
const settledMs = 2_000;

interface Place {
  /** Directory of the logs. */
  readonly traffic: string;
}

/** What a file came to, of files that are complete: whoever looks every few seconds reads each once. By identity, so that a file that was replaced is not taken for the one before. */
export type TrafficMemory = Map<string, Part>;

interface Part {
  readonly from: number;
  readonly tally: Tally;
}

interface SummaryFile {
  readonly schema: 1;
  readonly from: number;
  readonly tally: Tally;
}

const periodOf = (instant: number): number => Math.floor(instant / periodMs);
const logOf = ({ traffic }: Place, period: number): string => `${traffic}/${period}.log`;
const summaryOf = ({ traffic }: Place, period: number): string => `${traffic}/${period}.json`;

/** Forgets everything: what is on disk is of an nginx that has ended. */
export async function forgetTraffic({ traffic }: Place): Promise<void> {
  await fs.rm(traffic, { recursive: true, force: true });
}

/**
 * Has nginx write down requests from now on, for another while. Idempotent, also by several at once.
 * @param ownerId user that nginx's workers run as, where that is not our own.
 */
export async function keepTraffic(place: Place, ownerId: number | null, now: number): Promise<void> {
  await ensureDirectory(place.traffic, 0o711);
  await fs.chmod(place.traffic, 0o711);
  const current = periodOf(now);
  const there = new Set(await fs.readdir(place.traffic));
  for (let period = current; period <= current + aheadPeriods; period += 1) if (!there.has(`${period}.log`)) await makeLog(place, period, ownerId);
}

/** A link of its final name to a file that is ready: nginx never sees one that is not, and of two makers one wins. */
async function makeLog(place: Place, period: number, ownerId: number | null): Promise<void> {
  const made = `${place.traffic}/.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await fs.writeFile(made, '', { flag: 'wx', mode: 0o640 });
    if (ownerId !== null) await fs.chown(made, ownerId, -1);
    await fs.appendFile(made, `#${Date.now()}\n`);
    await fs.link(made, logOf(place, period)).catch((error) => (errnoOf(error) === 'EEXIST' ? undefined : Promise.reject(error)));
  } finally {
    await fs.rm(made, { force: true });
  }
}

/** What the log says of the time from `since` to `now`; null where it was not written for all of it. */
export async function readTraffic(place: Place, since: number, now: number, pools: readonly Pool[], memory: TrafficMemory = new Map()): Promise<Tally | null> {
  const sum: Tally = {};
  if (periodOf(now) - periodOf(since) > keptPeriods) return null;
  const byMark = new Map(pools.map((pool) => [poolMark(pool), pool]));
  for (let period = periodOf(since); period <= periodOf(now); period += 1) {
    const part = (await readSummary(place, period)) ?? (await recall(place, period, since, now, byMark, memory));
    if (part === null || part.from > Math.max(since, period * periodMs)) return null;
    mergeTally(sum, part.tally);
  }
  return sum;
}

/** Keeps the logs within their room. */
export async function trimTraffic(place: Place, now: number, pools: readonly Pool[]): Promise<void> {
  const names = await fs.readdir(place.traffic).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
  const oldest = periodOf(now) - keptPeriods;
  const logs: { period: number; bytes: number }[] = [];
  for (const name of names) {
    const period = Number(/^(\d+)\.(?:log|json)$/.exec(name)?.[1] ?? Number.NaN);
    if (period < oldest) await fs.rm(`${place.traffic}/${name}`, { force: true });
    else if (name.endsWith('.log') && period <= periodOf(now)) logs.push({ period, bytes: await sizeOf(`${place.traffic}/${name}`) });
  }
  let bytes = logs.reduce((total, log) => total + log.bytes, 0);
  const byMark = new Map(pools.map((pool) => [poolMark(pool), pool]));
  for (const log of logs.sort((a, b) => a.period - b.period)) {
    if (bytes <= keptBytes || !isComplete(log.period, now)) return;
    const part = await readLog(place, log.period, 0, byMark);
    if (part !== null) await writeFileDurably(summaryOf(place, log.period), JSON.stringify({ schema: 1, ...part } satisfies SummaryFile));
    await fs.rm(logOf(place, log.period), { force: true });
    bytes -= log.bytes;
  }
}

const isComplete = (period: number, now: number): boolean => now > (period + 1) * periodMs + settledMs;

async function readSummary(place: Place, period: number): Promise<Part | null> {
  try {
    return JSON.parse(await fs.readFile(summaryOf(place, period), 'utf8')) as SummaryFile;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function recall(place: Place, period: number, since: number, now: number, byMark: ReadonlyMap<string, Pool>, memory: TrafficMemory): Promise<Part | null> {
  if (since > period * periodMs || !isComplete(period, now)) return readLog(place, period, since, byMark);
  const stat = await fs.stat(logOf(place, period)).catch((error) => (isMissing(error) ? null : Promise.reject(error)));
  if (stat === null) return null;
  const key = `${logOf(place, period)} ${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  const known = memory.get(key);
  if (known !== undefined) return known;
  const part = await readLog(place, period, 0, byMark);
  if (part !== null) memory.set(key, part);
  // The oldest go first: a Map keeps its order.
  for (const old of memory.keys()) if (memory.size > keptPeriods) memory.delete(old);
  return part;
}

async function readLog(place: Place, period: number, since: number, byMark: ReadonlyMap<string, Pool>): Promise<Part | null> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(logOf(place, period), 'r');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
  try {
    const tally: Tally = {};
    let from = Number.POSITIVE_INFINITY;
    let asked = 0;
    const add = (line: string): void => {
      if (line.startsWith('#')) from = Number(line.slice(1));
      const read = parseTrafficLine(line);
      const pool = byMark.get(read?.pool ?? '');
      if (read === null || pool === undefined || read.at < since) return;
      for (const { port, failed, ms } of read.attempts) {
        // Nobody was asked, because all are taken for dead: an error of all of them, of which each takes its turn.
        const member = port === null ? pool.members[(asked += 1) % pool.members.length] : pool.members.find((other) => other.port === port);
        if (member !== undefined) addAttempt(tally, { service: pool.service, instance: member.instance, failed, ms });
      }
    };
    let rest = '';
    for await (const chunk of handle.createReadStream({ encoding: 'latin1', autoClose: false })) {
      const lines = (rest + (chunk as string)).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(add);
    }
    return { from, tally };
  } finally {
    await handle.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  return fs.stat(path).then((stat) => stat.size, () => 0);
}
