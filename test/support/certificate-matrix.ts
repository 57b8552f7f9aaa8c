import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificateRunActivities } from '../../activities/control/certificate-runs.ts';
import { createIssuingActivities } from '../../activities/host/certificate-issuing.ts';
import { readCertificateFacts } from '../../src/adapters/certificate-issuer/facts.ts';
import { findByEnvironment } from '../../src/adapters/process/proc.ts';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { shown } from '../../src/domain/certificate/served.ts';
import { brokenPair } from './certificate-files.ts';
import { stackNames, type CertificateStack } from './certificate-stack.ts';
import { killProcesses } from './checked-stack.ts';
import { points, type Checkpoint, type Point, type Verdict } from './checkpoints.ts';
import { eventually } from './host-root.ts';
import { certificateActivities } from './matrix.ts';

/** What runs about certificates have of other runs as well. */
const shared = ['inspectHost', 'openIntent', 'closeIntent'];
/** Every activity on the host at which a run about a certificate can lose somebody. The lists are the activities themselves: a new one fails the matrix until a run gets to it. */
export const ofTheHost: readonly string[] = [...certificateActivities, ...shared];
/** The same for control; the list of certificates is the sweep's. */
export const ofControl: readonly string[] = Object.keys(createCertificateRunActivities({} as never)).filter((name) => name !== 'listCertificates');

/** Has one run of its own. */
const atAllPoints = ['strandCertificate'];
/** Each talks to the CA in a process of its own. */
const issuing = Object.keys(createIssuingActivities({} as never));

type Victim = 'agent' | 'control';

export interface CertificateMatrix {
  /**
   * Who is killed in the next run, until `calm`: the agent once at every activity that `takes` takes, and control at a third of them and of those of its own; at which
   * of the points, goes from turn to turn. After three turns the agent was killed at all three points of each, and control, which takes longer to come back, at one. `fails` is asked at every checkpoint.
   */
  turn(turn: number, takes: (checkpoint: Checkpoint) => boolean, fails?: (checkpoint: Checkpoint) => boolean): void;
  calm(): void;
  /** What was wrong with the pair on the host while somebody was dead. */
  readonly broken: readonly string[];
  /** `victim activity direction point`, of all runs. */
  readonly killed: ReadonlySet<string>;
  end(): Promise<void>;
}

/** What is wrong on a host on which no run is under way: nothing, where the pair in force is whole, is what every listener serves for every name, and nothing of a run is left. */
export async function brokenService(bed: CertificateStack): Promise<string[]> {
  const { stack } = bed;
  const { certificatesDir, intentFile, routerDir } = stack.layout('h1');
  const home = join(certificatesDir, stackNames[0] as string);
  const broken = await brokenPair((stack.dev.summary.hosts[0] as { root: string }).root, stack.product, stackNames[0]);
  const { fingerprintSha256 } = readCertificateFacts(await bed.activePem(), []);
  for (const target of await bed.targets()) {
    const { chain, error } = await createTlsProbe().handshake(target);
    if (chain[0] !== fingerprintSha256) broken.push(`${shown(target)} serves ${chain[0] ?? error}, and ${fingerprintSha256} is in force`);
  }
  if ((await stack.state('h1')).tls?.proven !== true) broken.push('the state does not say that TLS is proven');
  if (await fs.readFile(intentFile, 'utf8').catch(() => null)) broken.push('an intent is left');
  // The one in force, the one before it, and one that could not be served.
  if ((await fs.readdir(join(home, 'versions'))).length > 3) broken.push('versions pile up');
  const files = [...(await fs.readdir(home)), ...(await fs.readdir(routerDir, { recursive: true }))];
  return [...broken, ...files.filter((name) => name.endsWith('.tmp') || /acme-challenge\/.+/.test(name)).map((name) => `${name} is left`)];
}

export function createCertificateMatrix({ stack }: CertificateStack): CertificateMatrix {
  const { root } = stack.dev.summary.hosts[0] as { root: string };
  const killed = new Set<string>();
  const places = new Map<string, number>();
  const broken: string[] = [];
  let watches: Promise<void>[] = [];
  const wantedPoint = (place: number, turn: number): Point => points[(place + turn) % points.length] as Point;

  async function kill(victim: Victim, { activity, direction }: Checkpoint, point: Point): Promise<void> {
    killed.add(`${victim} ${activity} ${direction} ${point}`);
    const name = victim === 'agent' ? 'agent-h1' : 'control';
    const pid = await eventually(`${name} runs`, () => stack.dev.pids()[name], 60_000);
    await killProcesses([pid]);
    const found = await brokenPair(root, stack.product, stackNames[0]);
    broken.push(...found.map((what) => `${name} killed ${point} ${activity} (${direction}): ${what}`));
  }

  /** Kills the agent while the process that talks to the CA is at work, and leaves that one to its work; not at all where the step ends before it is seen. */
  async function killInStep(at: Checkpoint, done: Set<string>, key: string): Promise<void> {
    while (!done.has(key)) {
      const working = await findByEnvironment({ FAIRLEAD_ACME: `${stack.layout('h1').acmeDir} ${stackNames[0]} order` });
      if (working.length === 0 || done.has(key)) continue;
      done.add(key);
      await kill('agent', at, 'during');
    }
  }

  function turn(count: number, takes: (at: Checkpoint) => boolean, fails: (at: Checkpoint) => boolean = () => false): void {
    const done = new Set<string>();
    stack.decide(async (at): Promise<Verdict> => {
      const verdict: Verdict = fails(at) ? 'fail' : 'go';
      const key = `${at.activity} ${at.direction}`;
      const isOwn = at.program === 'agent' ? ofTheHost.includes(at.activity) : ofControl.includes(at.activity);
      if (!isOwn || !takes(at)) return verdict;
      const place = places.get(key) ?? places.size;
      places.set(key, place);
      const isAtAll = atAllPoints.includes(at.activity);
      const wanted = isAtAll ? at.point : wantedPoint(place, count);
      const agentKey = isAtAll ? `agent ${key} ${at.point}` : `agent ${key}`;
      if (at.program === 'agent' && !done.has(agentKey)) {
        if (at.point === wanted) {
          done.add(agentKey);
          await kill('agent', at, wanted);
          return verdict;
        }
        if (wanted === 'during' && at.point === 'before' && issuing.includes(at.activity)) watches.push(killInStep(at, done, agentKey));
      }
      const isControlled = place % points.length === count % points.length && at.point === wantedPoint(place, count + 1);
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
    async end() {
      stack.decide(() => 'go');
      await Promise.all(watches);
      watches = [];
    },
  };
}
