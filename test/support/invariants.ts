import * as fs from 'node:fs/promises';
import { createReleaseStore } from '../../src/adapters/release-store/filesystem/index.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState, Intent } from '../../src/domain/host/state.ts';
import type { ProductName, ReleaseId } from '../../src/domain/ids.ts';
import type { AuditRow } from '../../src/domain/audit/chain.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { eventually } from './eventually.ts';
import type { Stack } from './stack.ts';

/** What Fairlead guarantees (docs/guarantees.md), as far as the disk and the audit can tell. Each function gives the sentences that are broken. */

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

/** 4: the audit says what was meant before the first step, what was meant before the first step back, and how it ended after the last. @param rows those of the run, in their order */
export function brokenAudit(rows: readonly Pick<AuditRow, 'at' | 'event' | 'detail'>[], report: Pick<RunReport, 'outcome' | 'steps'>): string[] {
  const broken: string[] = [];
  const firstOf = (direction: 'do' | 'undo') => report.steps.find((step) => step.direction === direction);
  for (const [event, direction] of [['run.intended', 'do'], ['run.undo_intended', 'undo']] as const) {
    const found = rows.filter((row) => row.event === event);
    const first = firstOf(direction);
    if (found.length > 1) broken.push(`the audit has ${event} ${found.length} times`);
    if (first === undefined) continue;
    if (!found[0]) broken.push(`the audit has no ${event}, and ${first.name} was taken`);
    else if (found[0].at > first.startedAt) broken.push(`the audit has ${event} at ${found[0].at}, and ${first.name} began at ${first.startedAt}`);
  }
  const ends = rows.filter((row) => row.event === 'run.ended');
  if (ends.length !== 1) broken.push(`the audit has run.ended ${ends.length} times`);
  for (const end of ends) {
    const { outcome } = end.detail as { outcome?: unknown };
    if (outcome !== report.outcome) broken.push(`the audit says ${String(outcome)}, the report ${report.outcome}`);
    if (rows.indexOf(end) < rows.findLastIndex(({ event }) => event === 'run.intended' || event === 'run.undo_intended')) broken.push('the audit has run.ended before what was intended');
  }
  return broken;
}

/** 6: the host has listened to this run, and to none since. Of a run that has changed something, before the next one begins. */
export async function brokenFence(root: string, { product, runId }: Pick<RunReport, 'product' | 'runId'>): Promise<string[]> {
  const fence = JSON.parse(await fs.readFile(hostLayout(root, product).fenceFile, 'utf8').catch(() => 'null')) as { runId: string } | null;
  return fence?.runId === runId ? [] : [`the host listens to run ${fence?.runId ?? '(none)'}, not to ${runId}`];
}

/**
 * What the audit has of a run that has ended, in its order. A report can be read a moment before the row of the end; the workflow ends after both. Some tests have killed
 * the API, which comes back.
 */
export async function auditOf(stack: Pick<Stack, 'ask'>, runId: string): Promise<readonly AuditRow[]> {
  return eventually(`the audit has the end of run ${runId}`, async () => {
    const { body } = await stack.ask<{ rows?: AuditRow[] }>('GET', `/api/audit?limit=1000&afterSequence=0&runId=${runId}`);
    return body.rows?.some(({ event }) => event === 'run.ended') ? body.rows : null;
  });
}

/** 1, 2, 4 and 6 after a run on a host, where its steps have changed something, and 3 where `boots` is what its instances wrote during it. */
export async function brokenGuarantees(stack: Pick<Stack, 'ask' | 'dev'>, report: RunReport, boots: readonly Boot[] = []): Promise<string[]> {
  const root = stack.dev.summary.hosts.find(({ host }) => host === report.host)?.root as string;
  return [
    ...(await brokenActivation(root, report.product)),
    ...(await brokenOutcome(root, report)),
    ...brokenRestarts(boots),
    ...brokenAudit(await auditOf(stack, report.runId), report),
    ...(report.steps.length > 0 ? await brokenFence(root, report) : []),
  ];
}
