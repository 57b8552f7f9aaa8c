import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import { defaultPayloadConverter } from '@temporalio/common';
import { quietRuntime, readRecordings, replay } from '../../scripts/release/replay.ts';
import type { Outcome, RunReport } from '../../src/domain/run/report.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';

const project = dirname(dirname(import.meta.dirname));
const directory = join(project, 'test/histories');

/** What each recording is of. A run that is under way when a new control worker starts is one of these, up to some event. */
const recordings: Readonly<Record<string, Outcome>> = {
  'first-install': 'succeeded',
  succeeded: 'succeeded',
  unchanged: 'unchanged',
  refused: 'refused',
  'rolled-back': 'rolled_back',
  'failed-first-install': 'rolled_back',
  cancelled: 'cancelled',
  stranded: 'stranded',
  'agent-killed': 'succeeded',
  'host-away': 'succeeded',
  'promotion-refused': 'refused',
  'promotion-undone': 'rolled_back',
  promoted: 'succeeded',
  'promotion-certificate-undone': 'rolled_back',
  'promoted-with-certificate': 'succeeded',
  'blue-green': 'succeeded',
  canary: 'succeeded',
};
/** The same for runs about services. */
const serviceRecordings: Readonly<Record<string, Outcome>> = {
  restart: 'succeeded',
  'restart-cancelled': 'cancelled',
  'restart-cancelled-early': 'cancelled',
  reload: 'succeeded',
  'instance-added': 'succeeded',
  'instance-there': 'unchanged',
  'instance-removed': 'succeeded',
  'instance-unknown': 'refused',
  'instance-not-added': 'rolled_back',
};
/** The same for runs about certificates: the workflow that gets one, and the one that has the host serve it. */
const certificateRecordings: Readonly<Record<string, Outcome>> = {
  'certificate-issued': 'succeeded',
  'certificate-unchanged': 'unchanged',
  'certificate-delayed': 'succeeded',
  'certificate-switched': 'succeeded',
  'certificate-switched-back': 'rolled_back',
  'certificate-shared': 'succeeded',
  'certificate-delivered': 'succeeded',
  'certificate-not-taken': 'rolled_back',
};
/** Workflows that gather requests and hand them over: they end without an outcome. */
const handedOver = ['restart-gathered', 'restart-after-another'];
/** Rollouts and their shards, and certificates that are brought to several hosts: what each ended with. */
const ofRollouts: Readonly<Record<string, object>> = {
  rollout: { outcome: 'succeeded', ok: true },
  'rollout-shard': { direction: 'forward', counts: { updated: 1, failed: 0 } },
  'rollout-undone': { outcome: 'rolled_back', ok: false, reason: { code: 'budget_exceeded' } },
  'rollout-shard-failed': { direction: 'forward', counts: { updated: 1, failed: 1 } },
  'rollout-halted': { outcome: 'aborted', ok: false },
  'rollout-not-returned': { outcome: 'aborted', ok: false, reason: { code: 'shard_not_returned' } },
  'certificate-distributed': { hosts: [{ host: 'h2', outcome: 'succeeded' }, { host: 'h3', outcome: 'succeeded' }] },
  'certificate-held-back': { hosts: [{ host: 'h2', outcome: 'rolled_back' }, { host: 'h3', outcome: 'held_back' }] },
  'rollout-shard-back': { direction: 'back', counts: { returned: 1, notReturned: 0 } },
};
/** Checks for newer releases, and bundles that were brought to a host ahead of their update: what each began, or ended with. */
const ofChecks: Readonly<Record<string, object>> = {
  'release-check': { updates: ['h1/noderax-platform r2'], rollouts: ['noderax-platform r2'], downloaded: ['h4/noderax-platform r2'], away: [] },
  'bundle-fetched': { outcome: 'fetched', reason: null },
  'bundle-not-fetched': { outcome: 'failed', bytes: 0, reason: { code: 'injected' } },
  'release-check-nothing': { updates: [], rollouts: [], downloaded: [] },
};
/** A shard for which control could not keep what became of a host: it fails, and tells its rollout why. */
const broken = ['rollout-shard-broken'];
const others = [...broken, ...Object.keys(serviceRecordings), ...handedOver, ...Object.keys(certificateRecordings), ...Object.keys(ofChecks)];
const names = [...Object.keys(recordings), ...others, ...Object.keys(ofRollouts)];

const recorded = await readRecordings(directory);
const failing = (codePath: string): Promise<Map<string, Error>> => replay(codePath, recorded);

beforeAll(quietRuntime);

test('every recording is listed, and every outcome of a run is recorded', async () => {
  expect((await fs.readdir(directory)).sort()).toEqual(names.map((name) => `${name}.json`).sort());
  expect(new Set(Object.values(recordings)).size).toBe(6);
});

function resultOf<Result>(name: string): Result {
  const ended = recorded.find((recording) => recording.name === name)!.history.events?.at(-1)?.workflowExecutionCompletedEventAttributes?.result?.payloads?.[0];
  return defaultPayloadConverter.fromPayload<Result>(ended as never);
}

test.each(Object.entries({ ...recordings, ...serviceRecordings, ...certificateRecordings }))('%s ends as its name says: %s', (name, outcome) => {
  expect(resultOf<RunReport>(name).outcome).toBe(outcome);
});

test.each(handedOver)('%s was handed over to the host', (name) => {
  expect(resultOf(name)).toEqual({ handedTo: { workflowId: 'host/h1/noderax-platform', temporalRunId: expect.any(String) } });
});

test.each(Object.entries({ ...ofRollouts, ...ofChecks }))('%s ends as its name says', (name, result) => {
  expect(resultOf(name)).toMatchObject(result);
});

test('today’s workflows replay every recorded run', async () => {
  expect([...(await failing(await workflowBundle()))]).toEqual([]);
});

/** Copies the workflows, changes one place of them, and bundles that. */
async function alteredBundle(file: string, from: string, to: string, use: (codePath: string) => Promise<void>): Promise<void> {
  await fs.mkdir(join(project, 'dist'), { recursive: true });
  const copy = await fs.mkdtemp(join(project, 'dist/altered-'));
  try {
    for (const folder of ['workflows', 'src/domain']) await fs.cp(join(project, folder), join(copy, folder), { recursive: true });
    const text = await fs.readFile(join(copy, file), 'utf8');
    expect(text).toContain(from);
    await fs.writeFile(join(copy, file), text.replace(from, to));
    const { code } = await bundleWorkflowCode({ workflowsPath: join(copy, 'workflows/index.ts'), workflowInterceptorModules: [join(copy, 'workflows/support/trace-header.ts')], logger: new DefaultLogger('ERROR') });
    const codePath = join(copy, 'bundle.js');
    await fs.writeFile(codePath, code);
    await use(codePath);
  } finally {
    await fs.rm(copy, { recursive: true, force: true });
  }
}

const notReached = ['unchanged', 'refused', ...others, ...Object.keys(ofRollouts)];
test('an incompatible change is found: another activity in the place of one that recorded runs have called', async () => {
  await alteredBundle('workflows/support/update-steps.ts', "c.call('openIntent'", "c.call('runPreflight'", async (codePath) => {
    const failed = await failing(codePath);
    expect([...failed.keys()].sort()).toEqual(names.filter((name) => !notReached.includes(name)).sort());
    for (const error of failed.values()) expect(error.name).toBe('DeterminismViolationError');
  });
});

test('an incompatible change is found: one step more in the plan', async () => {
  await alteredBundle('src/domain/update/plan.ts', "{ name: 'open-intent' },", "{ name: 'open-intent' },\n    { name: 'configure' },", async (codePath) => {
    const failed = await failing(codePath);
    // A promotion has a plan of its own.
    const planned = names.filter((name) => !notReached.includes(name) && !name.startsWith('promot'));
    expect([...failed.keys()].sort()).toEqual(planned.sort());
    for (const error of failed.values()) expect(error.name).toBe('DeterminismViolationError');
  });
});

test('an incompatible change is found: another order of the steps of a restart', async () => {
  await alteredBundle('src/domain/service/plan.ts', "[{ name: 'open-intent' }, { name: 'arm-recovery' }, ...steps], namesOf(ground), warnings", "[{ name: 'arm-recovery' }, { name: 'open-intent' }, ...steps], namesOf(ground), warnings", async (codePath) => {
    expect([...(await failing(codePath)).keys()].sort()).toEqual(['restart', 'restart-cancelled']);
  });
});

test('an incompatible change is found: a restart that waits for its turn without saying for whom', async () => {
  await alteredBundle('workflows/support/host-turn.ts', 'const holder = await controlCalls.holderOf({ host, product, but: runId });', 'const holder = null as { runId: RunId; kind: string } | null;', async (codePath) => {
    expect([...(await failing(codePath)).keys()]).toEqual(['restart-after-another']);
  });
});

test('an incompatible change is found: a rollout that does not look for a freeze', async () => {
  await alteredBundle('workflows/fleet-rollout.ts', '      await lookForFreeze();\n', '', async (codePath) => {
    expect([...(await failing(codePath)).keys()].sort()).toEqual(['rollout', 'rollout-halted', 'rollout-not-returned', 'rollout-undone']);
  });
});

test('an incompatible change is found: a shard that does not verify its hosts', async () => {
  await alteredBundle('workflows/rollout-shard.ts', 'await conclude({ rolloutId, host: row.host, product, direction, releaseId, run, verifySeconds: input.verifySeconds })', "{ outcome: 'updated' as const, reasonClass: null, ...(conclude === null ? { run } : {}) }", async (codePath) => {
    expect([...(await failing(codePath)).keys()].sort()).toEqual(['rollout-shard', 'rollout-shard-back', 'rollout-shard-broken', 'rollout-shard-failed']);
  });
});

test('an incompatible change is found: another order of the steps that switch a certificate', async () => {
  await alteredBundle('src/domain/certificate/step.ts', "'back-up', 'arm-recovery', 'switch', 'test-router'", "'arm-recovery', 'back-up', 'switch', 'test-router'", async (codePath) => {
    expect([...(await failing(codePath)).keys()].sort()).toEqual(['certificate-switched', 'certificate-switched-back']);
  });
});

test('an incompatible change is found: a check that fetches before it starts updates', async () => {
  await alteredBundle('workflows/release-check.ts', 'const { looked, current, noted, ...due } = await checkCalls.checkReleases();', 'const { looked, current, noted, ...due } = await checkCalls.checkReleases();\n  await Promise.all(due.downloads.map(fetched));', async (codePath) => {
    expect([...(await failing(codePath)).keys()]).toEqual(['release-check']);
  });
});

test('a change that no history can tell is let through: another wording', async () => {
  await alteredBundle('workflows/support/host-run.ts', "hint: 'Start the update again when it is wanted.'", "hint: 'Start it again.'", async (codePath) => {
    expect([...(await failing(codePath))]).toEqual([]);
  });
});
