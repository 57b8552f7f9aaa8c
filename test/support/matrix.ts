import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createControlActivities } from '../../activities/control/runs.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { createCertificateLook, createIssuingActivities } from '../../activities/host/certificate-issuing.ts';
import { createCertificateProof } from '../../activities/host/certificate-proof.ts';
import { createCertificateRecovery } from '../../activities/host/certificate-recovery.ts';
import { createCertificateOpening, createCertificateSealing } from '../../activities/host/certificate-sealing.ts';
import { createCertificateActivities, createCertificateInspection } from '../../activities/host/certificates.ts';
import { createPromotionActivities } from '../../activities/host/promotion.ts';
import { createTrafficActivities } from '../../activities/host/traffic.ts';
import { createServiceActivities, createServiceInspection } from '../../activities/host/services.ts';
import { isAlive, readProcess } from '../../src/adapters/process/proc.ts';
import { recover } from '../../src/cli/recover.ts';
import { parseInstanceConfig, renderInstanceConfig } from '../../src/domain/host/instance-config.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { Outcome, RunReport } from '../../src/domain/run/report.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { startCheckpoints, type Checkpoint, type Point, type Verdict } from './checkpoints.ts';
import { bootsOf, brokenActivation, brokenGuarantees } from './invariants.ts';
import { listingOf } from './listing.ts';
import { cutDown } from './matrix-product.ts';
import { startStack, type Stack } from './stack.ts';

/**
 * Every activity of an update, and every way to lose a process at it. The lists are the activities themselves: a new one is in the matrix as
 * soon as it is offered, and fails it where no scenario reaches it.
 */
/** What an update in place does not use: promotions, and releases beside the old one, have a matrix of their own, kill-change.test.ts. */
export const changeActivities: readonly string[] = [...Object.keys(createPromotionActivities({} as never)), ...Object.keys(createTrafficActivities({} as never))];
/** The activities on a host that only runs about certificates have. */
export const certificateActivities: readonly string[] = [createCertificateLook, createIssuingActivities, createCertificateActivities, createCertificateProof, createCertificateRecovery].flatMap((create) => Object.keys(create({} as never)));
/** What a release check or an operator has a host do ahead of an update: kill-download.test.ts. */
const checkActivities: readonly string[] = ['prefetchBundle'];
export const hostActivities = Object.keys(createHostActivities({} as never).activities).filter((name) => !checkActivities.includes(name) && !isOfServices(name) && !isOfCertificates(name) && !changeActivities.includes(name));
export const controlActivities = Object.keys(createControlActivities({} as never));
/** Renewals have a matrix of their own: kill-certificate.test.ts; so has what brings one to other hosts: shared-certificate.test.ts. */
function isOfCertificates(name: string): boolean {
  return certificateActivities.includes(name) || [createCertificateInspection, createCertificateSealing, createCertificateOpening].some((create) => name in create({} as never));
}
/** Runs about services have a matrix of their own: kill-restart.test.ts. */
function isOfServices(name: string): boolean {
  return [...Object.keys(createServiceActivities({} as never)), ...Object.keys(createServiceInspection({} as never)), 'stopInstance'].includes(name);
}

export type ScenarioName = 'update' | 'rollback' | 'failed first install' | 'stranded';
/** Each on a host of its own, in the order in which one is looked for that reaches an activity. */
export const scenarios: Readonly<Record<ScenarioName, { readonly host: string; readonly outcome: Outcome }>> = {
  update: { host: 'h1', outcome: 'succeeded' },
  rollback: { host: 'h2', outcome: 'rolled_back' },
  'failed first install': { host: 'h3', outcome: 'rolled_back' },
  stranded: { host: 'h4', outcome: 'stranded' },
};
const scenarioNames = Object.keys(scenarios) as ScenarioName[];

export interface Matrix {
  /** Runs a scenario to its end, looks at the host, and leaves it ready for the next. */
  runScenario(name: ScenarioName, expected?: Outcome): Promise<RunReport>;
  /** The scenarios that reach an activity, one for each direction that it has. */
  reaching(activity: string): { readonly name: ScenarioName; readonly direction: string }[];
  /** Kills `victim` when the activity gets to each of the points, the first time, one after the other, and reads the disk while nothing moves. */
  killAt(activity: string, direction: string, points: readonly Point[], host: string, victim: 'agent' | 'control'): { readonly left: readonly Point[]; readonly broken: readonly string[] };
  /** What happens at every checkpoint from now on. */
  decide(decision: (at: Checkpoint) => Promise<Verdict> | Verdict): void;
  listing(host: string): Promise<Record<string, string>>;
  end(): Promise<void>;
}

export async function startMatrix(): Promise<Matrix> {
  let decision: (at: Checkpoint) => Promise<Verdict> | Verdict = () => 'go';
  let count = 0;
  /** Which activities were seen, in which direction, in which scenario. */
  const seen = new Map<ScenarioName, Set<string>>();
  const { file } = await buildAgent({ entry: 'test/support/programs/agent.ts', outfile: 'dist/test-agent.mjs' });
  const checkpoints = await startCheckpoints((at) => decision(at));
  const dir = await fs.mkdtemp(join(await roomInMemory(), 'fairlead-matrix-'));
  const stack: Stack = await startStack({
    hosts: 4,
    dir,
    replace: {
      agentFile: file,
      controlEntry: 'test/support/programs/control.ts',
      // A killed worker holds its run up for as long as these say; the outcome is the same.
      env: { ...checkpoints.env, FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000', FAIRLEAD_ROUTER: 'embedded' },
    },
  });
  const rootOf = (host: string): string => stack.dev.summary.hosts.find((known) => known.host === host)?.root as string;

  const matrix: Matrix = {
    async runScenario(name, expected = scenarios[name].outcome) {
      const { host } = scenarios[name];
      const root = rootOf(host);
      count += 1;
      const releaseId = `m${count}`;
      const bad = name === 'rollback' || name === 'failed first install';
      await stack.publish(releaseId, { edit: cutDown, ...(bad ? { faults: { crashAtStart: true, only: 'api-b' } } : {}) });
      const conf = stack.layout(host).configFile('api-a' as InstanceName);
      const before = name === 'stranded' ? await fs.readFile(conf, 'utf8') : '';
      // From its next start on the instance crashes on every release: neither forward nor back can work.
      if (name === 'stranded') await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(before), FAULTS: '{"crashAtStart":true}' }));
      const bootsBefore = (await bootsOf(root, stack.product)).length;
      const report = await stack.apply(host, releaseId);
      const boots = (await bootsOf(root, stack.product)).slice(bootsBefore);
      const broken = await brokenGuarantees(stack, report, boots);
      const reason = report.outcome === expected ? null : { ...report.reason, stuck: report.recovery };
      if (name === 'stranded') await fs.writeFile(conf, before);
      if (report.outcome === 'stranded') {
        const recovered = await recover({ root, product: stack.product, run: report.runId, say: () => undefined });
        if (recovered.outcome !== 'recovered') broken.push(`recover: ${recovered.outcome}`);
        broken.push(...(await brokenActivation(root, stack.product)));
      }
      expect({ outcome: report.outcome, broken, reason }).toEqual({ outcome: expected, broken: [], reason: null });
      return report;
    },

    reaching(activity) {
      return ['do', 'undo'].flatMap((direction) => {
        const name = scenarioNames.find((scenario) => seen.get(scenario)?.has(`${activity} ${direction}`));
        return name ? [{ name, direction }] : [];
      });
    },

    killAt(activity, direction, wanted, host, victim) {
      const left = [...wanted];
      const broken: string[] = [];
      decision = async (at): Promise<Verdict> => {
        if (at.activity !== activity || at.direction !== direction || at.point !== left[0]) return 'go';
        if (at.program === 'agent' && at.host !== host) return 'go';
        const pid = stack.dev.pids()[victim === 'agent' ? `agent-${host}` : 'control'];
        if (!pid) return 'go'; // It is just being started again; the next attempt comes by as well.
        left.shift();
        const identity = await readProcess(pid);
        process.kill(pid, 'SIGKILL');
        while (identity && (await isAlive(identity))) await new Promise((resolve) => setTimeout(resolve, 5));
        broken.push(...(await brokenActivation(rootOf(host), stack.product)));
        // There has to be somebody to kill at the next point; after the last one the run goes on while nobody is there.
        const name = victim === 'agent' ? `agent-${host}` : 'control';
        while (left.length > 0 && (stack.dev.pids()[name] ?? pid) === pid) await new Promise((resolve) => setTimeout(resolve, 20));
        return 'go';
      };
      return { left, broken };
    },

    decide(next) {
      decision = next;
    },
    listing: (host) => listingOf(rootOf(host), stack.product),
    async end() {
      await stack.end();
      await checkpoints.stop();
      await fs.rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };

  try {
    await stack.publish('base', { edit: cutDown });
    for (const host of ['h1', 'h2', 'h4']) expect((await stack.apply(host, 'base')).outcome).toBe('succeeded');
    for (const name of scenarioNames) {
      const found = new Set<string>();
      decision = (at) => {
        found.add(`${at.activity} ${at.direction}`);
        return 'go';
      };
      await matrix.runScenario(name);
      seen.set(name, found);
    }
    decision = () => 'go';
    return matrix;
  } catch (error) {
    await matrix.end();
    throw error;
  }
}

/** Hundreds of runs make many files: in memory where there is room, since what survives a power cut is the subject of other tests. */
async function roomInMemory(): Promise<string> {
  const wanted = 2 * 2 ** 30;
  const stat = await fs.statfs('/dev/shm').catch(() => null);
  return stat && stat.bavail * stat.bsize > wanted ? '/dev/shm' : tmpdir();
}
