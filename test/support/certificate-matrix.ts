import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificateDistributionActivities } from '../../activities/control/certificate-distributions.ts';
import { createCertificateRunActivities } from '../../activities/control/certificate-runs.ts';
import { createIssuingActivities } from '../../activities/host/certificate-issuing.ts';
import { createCertificateOpening, createCertificateSealing } from '../../activities/host/certificate-sealing.ts';
import { createCertificateInspection } from '../../activities/host/certificates.ts';
import { readCertificateFacts } from '../../src/adapters/certificate-issuer/facts.ts';
import { findByEnvironment } from '../../src/adapters/process/proc.ts';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { shown } from '../../src/domain/certificate/served.ts';
import { brokenPair } from './certificate-files.ts';
import { stackNames, type CertificateStack } from './certificate-stack.ts';
import { killProcesses, type CheckedStack } from './checked-stack.ts';
import { points, type Checkpoint, type Point, type Verdict } from './checkpoints.ts';
import { eventually } from './eventually.ts';
import { certificateActivities } from './matrix.ts';

const namesOf = (...creators: readonly ((dependencies: never) => object)[]): readonly string[] => creators.flatMap((create) => Object.keys(create({} as never)));

/** What runs about certificates have of other runs as well. */
const shared = ['inspectHost', 'openIntent', 'closeIntent'];
/** Every activity on the host at which a run about a certificate can lose somebody. The lists are the activities themselves: a new one fails the matrix until a run gets to it. */
export const ofTheHost: readonly string[] = [...certificateActivities, ...shared];
/** The same for control; the list of certificates is the sweep's. */
export const ofControl: readonly string[] = namesOf(createCertificateRunActivities).filter((name) => name !== 'listCertificates');

/** What a promotion has of control about its certificate. */
export const ofPromotingControl: readonly string[] = ['keepCertificateWish'];
/** What only a distribution has: of the ordering host, of those that receive, and of control. */
export const ofOrdering: readonly string[] = namesOf(createCertificateInspection, createCertificateSealing);
export const ofOpening: readonly string[] = namesOf(createCertificateOpening);
export const ofDistributing: readonly string[] = namesOf(createCertificateDistributionActivities).filter((name) => !ofPromotingControl.includes(name));

/** Each talks to the CA in a process of its own. */
export const issuing: readonly string[] = namesOf(createIssuingActivities);

/** Which runs a matrix is about. */
export interface MatrixScope {
  /** Their agents are killed. With several of them each activity is tried on one, in turn. */
  readonly hosts: readonly string[];
  /** That names the pair. */
  readonly certificate: string;
  /** Activities of the hosts, and of control. */
  readonly ofTheHost: readonly string[];
  readonly ofControl: readonly string[];
  /** At which whoever has the activity is killed before, during and after it in one run. */
  readonly atAllPoints: readonly string[];
  /** Activities of the hosts at which control is killed as well: once at each, over so many turns. It does nothing meanwhile, so that it is the same at all points. */
  readonly besides: readonly string[];
  readonly turns: number;
}

/** Renewals on one host, in three turns. */
export const renewals: MatrixScope = { hosts: ['h1'], certificate: stackNames[0] as string, ofTheHost, ofControl, atAllPoints: ['strandCertificate'], besides: ofTheHost, turns: 3 };

type Victim = 'agent' | 'control';

export interface CertificateMatrix {
  /**
   * Who is killed in the next run, until `calm`, of those whom `takes` takes: the agent once at every activity of the hosts, control at every one of its own, and at some of the
   * hosts'; at which of the points, goes from turn to turn. After three turns each was killed at all three points of what is its own. `fails` is asked at every checkpoint.
   */
  turn(turn: number, takes: (checkpoint: Checkpoint) => boolean, fails?: (checkpoint: Checkpoint) => boolean | Promise<boolean>): void;
  calm(): void;
  /** What was wrong with the pair on the host while somebody was dead. */
  readonly broken: readonly string[];
  /** `victim activity direction point`, of all runs. */
  readonly killed: ReadonlySet<string>;
  /** At how many of the points somebody was killed at an activity. */
  tried(victim: Victim, activity: string): number;
  end(): Promise<void>;
}

/** What is wrong on a host on which no run is under way: nothing, where the pair in force is whole, is what every listener serves for every name, and nothing of a run is left. */
export async function brokenService(bed: CertificateStack): Promise<string[]> {
  const { stack } = bed;
  const broken = [...(await brokenOnDisk(stack, 'h1', stackNames[0] as string)), ...(await leftovers(stack, 'h1', stackNames[0] as string))];
  const { fingerprintSha256 } = readCertificateFacts(await bed.activePem(), []);
  for (const target of await bed.targets()) {
    const { chain, error } = await createTlsProbe().handshake(target);
    if (chain[0] !== fingerprintSha256) broken.push(`${shown(target)} serves ${chain[0] ?? error}, and ${fingerprintSha256} is in force`);
  }
  if ((await stack.state('h1')).tls?.proven !== true) broken.push('the state does not say that TLS is proven');
  return broken;
}

/** What a router of the host could not serve: nothing, where key and certificate belong together, or plain HTTP is all there is. */
async function brokenOnDisk(stack: CheckedStack, host: string, certificate: string): Promise<string[]> {
  const link = await fs.readlink(join(stack.layout(host).certificatesDir, certificate, 'current')).catch(() => null);
  if (link === null && ((await stack.state(host)).tls ?? null) === null) return [];
  return brokenPair((stack.dev.summary.hosts.find((each) => each.host === host) as { root: string }).root, stack.product, certificate);
}

/** What a run that has ended should have taken away: its intent, its challenges, halves of files, surplus versions, and a pair that was brought and opened. */
export async function leftovers(stack: CheckedStack, host: string, certificate: string): Promise<string[]> {
  const { acmeDir, certificatesDir, intentFile, routerDir } = stack.layout(host);
  const home = join(certificatesDir, certificate);
  const left: string[] = [];
  if (await fs.readFile(intentFile, 'utf8').catch(() => null)) left.push('an intent is left');
  // The one in force, the one before it, and one that could not be served.
  if ((await fs.readdir(join(home, 'versions')).catch(() => [])).length > 3) left.push('versions pile up');
  const opened = await fs.readdir(join(acmeDir, 'received')).catch(() => []);
  const files = [...(await fs.readdir(home).catch(() => [])), ...(await fs.readdir(routerDir, { recursive: true })), ...opened.map((name) => `received/${name}`)];
  return [...left, ...files.filter((name) => name.endsWith('.tmp') || /acme-challenge\/.+|received\/.+/.test(name)).map((name) => `${name} is left`)];
}

/** Orders and pairs that an issuer has staged: a run that ended well leaves none. */
export async function unspent(stack: CheckedStack, host: string): Promise<string[]> {
  const { acmeDir } = stack.layout(host);
  return (await Promise.all(['orders', 'staged'].map(async (place) => (await fs.readdir(join(acmeDir, place)).catch(() => [])).map((name) => `${place}/${name} is left`)))).flat();
}

export function createCertificateMatrix(stack: CheckedStack, scope: MatrixScope): CertificateMatrix {
  const killed = new Set<string>();
  const places = new Map<string, number>();
  const broken: string[] = [];
  let watches: Promise<void>[] = [];
  const wantedPoint = (place: number, turn: number): Point => points[(place + turn) % points.length] as Point;

  async function kill(victim: Victim, { activity, direction, host: at }: Checkpoint, point: Point): Promise<void> {
    killed.add(`${victim} ${activity} ${direction} ${point}`);
    const name = victim === 'agent' ? `agent-${at}` : 'control';
    const pid = await eventually(`${name} runs`, () => stack.dev.pids()[name], 60_000);
    await killProcesses([pid]);
    for (const host of victim === 'agent' ? [at] : scope.hosts) {
      broken.push(...(await brokenOnDisk(stack, host, scope.certificate)).map((what) => `${name} killed ${point} ${activity} (${direction}): ${host}: ${what}`));
    }
  }

  /** Kills the agent while the process that talks to the CA is at work, and leaves that one to its work; not at all where the step ends before it is seen. */
  async function killInStep(at: Checkpoint, done: Set<string>, key: string): Promise<void> {
    while (!done.has(key)) {
      const working = await findByEnvironment({ FAIRLEAD_ACME: `${stack.layout(at.host).acmeDir} ${scope.certificate} order` });
      if (working.length === 0 || done.has(key)) continue;
      done.add(key);
      await kill('agent', at, 'during');
    }
  }

  function turn(count: number, takes: (at: Checkpoint) => boolean, fails: (at: Checkpoint) => boolean | Promise<boolean> = () => false): void {
    const done = new Set<string>();
    stack.decide(async (at): Promise<Verdict> => {
      const verdict: Verdict = (await fails(at)) ? 'fail' : 'go';
      const isOfHost = at.program === 'agent';
      const isOwn = isOfHost ? scope.ofTheHost.includes(at.activity) : scope.ofControl.includes(at.activity);
      if (!isOwn || !takes(at)) return verdict;
      const key = `${at.activity} ${at.direction}`;
      const place = places.get(key) ?? places.size;
      places.set(key, place);
      const isAtAll = scope.atAllPoints.includes(at.activity);
      const wanted = isAtAll ? at.point : wantedPoint(place, count);
      const own = isOfHost ? 'agent' : 'control';
      const ownKey = isAtAll ? `${own} ${key} ${at.point}` : `${own} ${key}`;
      // Only one of them is on its way back.
      const isItsTurn = !isOfHost || isAtAll || at.direction === 'undo' || scope.hosts.length < 2 || scope.hosts[place % scope.hosts.length] === at.host || !scope.hosts.includes(at.host);
      if (isItsTurn && !done.has(ownKey)) {
        if (at.point === wanted) {
          done.add(ownKey);
          await kill(own, at, at.point);
          return verdict;
        }
        if (wanted === 'during' && at.point === 'before' && issuing.includes(at.activity)) watches.push(killInStep(at, done, ownKey));
      }
      const isControlled = isOfHost && scope.besides.includes(at.activity) && place % scope.turns === count % scope.turns && at.point === wantedPoint(place, count + 1);
      if (isControlled && !done.has(`control ${key}`)) {
        done.add(`control ${key}`);
        await kill('control', at, at.point);
      }
      return verdict;
    });
  }
  return {
    turn,
    calm: () => stack.decide(() => 'go'),
    broken,
    killed,
    tried: (victim, activity) => points.filter((point) => [...killed].some((key) => key.startsWith(`${victim} ${activity} `) && key.endsWith(` ${point}`))).length,
    async end() {
      stack.decide(() => 'go');
      await Promise.all(watches);
      watches = [];
    },
  };
}
