import * as fs from 'node:fs/promises';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState, Intent } from '../../src/domain/host/state.ts';
import type { ProductName, ReleaseId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';

/** What the design says must always be true, as far as the disk can tell. Each function gives the sentences that are broken. */

/** 1: `current` resolves to a release with its COMPLETE mark whose files match their digests. None at all is fine where nothing was installed. */
export async function brokenActivation(root: string, product: ProductName): Promise<string[]> {
  const { currentLink } = hostLayout(root, product);
  const releases = createReleaseStore({ root, syncTree: async () => undefined });
  let current: ReleaseId | null;
  try {
    current = await releases.current(product);
  } catch (error) {
    return [`current cannot be resolved: ${String(error)}`];
  }
  if (current === null) return (await fs.lstat(currentLink).catch(() => null)) === null ? [] : ['current is there and resolves to nothing'];
  if (!(await releases.isComplete(product, current))) return [`current names ${current}, which is not complete`];
  return (await releases.rehash(product, current)).map((path) => `current names ${current}, whose ${path} differs from the file list`);
}

/** 2: the host is in the state that the outcome names. */
export async function brokenOutcome(root: string, report: RunReport): Promise<string[]> {
  const { product, outcome } = report;
  const layout = hostLayout(root, product);
  const state = JSON.parse(await fs.readFile(layout.stateFile, 'utf8').catch(() => 'null')) as HostState | null;
  const intent = JSON.parse(await fs.readFile(layout.intentFile, 'utf8').catch(() => 'null')) as Intent | null;
  const current = await createReleaseStore({ root, syncTree: async () => undefined }).current(product);
  const broken: string[] = [];
  const expect = (what: string, actual: unknown, wanted: unknown) => {
    if (JSON.stringify(actual) !== JSON.stringify(wanted)) broken.push(`${outcome}: ${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`);
  };
  if (outcome === 'stranded') {
    if (!intent?.stranded) broken.push('stranded: the intent does not say so');
    if (!(await fs.stat(layout.recoveryScript(report.runId)).catch(() => null))) broken.push('stranded: there is no recovery script');
    return broken;
  }
  // Refused before the host could be asked: the report does not know what it serves, and nothing was done.
  if (outcome === 'refused' && report.fromReleaseId === null && report.steps.length === 0) return broken;
  const serves = outcome === 'succeeded' ? report.toReleaseId : report.fromReleaseId;
  expect('current', current, serves);
  expect('the active release', state?.activeReleaseId ?? null, serves);
  expect('the last good release', state?.lastGoodReleaseId ?? null, serves);
  expect('the intent of this run', intent?.runId === report.runId, false);
  // A refused run has touched nothing: how it found the instances is not its doing.
  if (outcome === 'refused') return broken;
  expect('the intent', intent, null);
  for (const [name, instance] of Object.entries(state?.instances ?? {})) {
    expect(`the release of ${name}`, instance.releaseId, serves);
    expect(`${name} in the router`, instance.admitted, true);
  }
  const staging = await fs.readdir(layout.stagingDir).catch(() => []);
  expect('the staging directory', staging, []);
  return broken;
}

export interface Boot {
  readonly instance: string;
  readonly releaseId: string;
  readonly at: string;
}

/** What the example product's instances wrote when they started, in order. */
export async function bootsOf(root: string, product: ProductName): Promise<Boot[]> {
  const text = await fs.readFile(`${hostLayout(root, product).stateRoot}/data/boots.log`, 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Boot);
}

/** 3: in one run an instance was started at most once in each direction. @param boots what was written during the run */
export function brokenRestarts(boots: readonly Boot[]): string[] {
  const counts = new Map<string, number>();
  for (const { instance, releaseId } of boots) counts.set(`${instance} on ${releaseId}`, (counts.get(`${instance} on ${releaseId}`) ?? 0) + 1);
  return [...counts].filter(([, count]) => count > 1).map(([what, count]) => `${what} was started ${count} times in one run`);
}
