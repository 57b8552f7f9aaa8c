// npm run record-histories [-- [--alone] NAME…]: records test/histories/*.json, the histories that test/workflows/replay.test.ts replays, from real runs on a real
// stack; with --alone only those named are run, which have to be able to do without those before them. See docs/checklists/changing-a-workflow-in-flight.md for when to run it. About two minutes; one of them is a host that stays away.
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { renderHistory } from './history-text.ts';
import { recordBundlePrefetch } from './record-bundle-prefetch.ts';
import { recordDistribution } from './record-distribution.ts';
import { recordReleaseChecks } from './record-release-check.ts';
import { fromMemory, recordFromMemory, recordRollouts } from './record-rollouts.ts';
import { parseInstanceConfig, renderInstanceConfig } from '../src/domain/host/instance-config.ts';
import { hostWorkflowId, type HostId, type InstanceName } from '../src/domain/ids.ts';
import type { Outcome, RunProgress, RunReport } from '../src/domain/run/report.ts';
import { killProcesses, startCheckedStack, type CheckedStack } from '../test/support/checked-stack.ts';
import type { Verdict } from '../test/support/checkpoints.ts';
import { createTestAuthority, stagePair } from '../test/support/certificates.ts';
import { cutDown } from '../test/support/matrix-product.ts';
import type { PublishOptions } from '../test/support/stack.ts';

const target = join(dirname(dirname(fileURLToPath(import.meta.url))), 'test/histories');
/** Paths of the hosts stand in payloads: a neutral place keeps those of a developer's machine out of the repository. */
const directory = process.env['FAIRLEAD_HISTORIES_DIR'] ?? '/srv/fairlead-histories';
const crashing = { faults: { crashAtStart: true, only: 'api-b' } };

const names = ['app.example.org', 'api.example.org'];
async function withTls(directory: string): Promise<void> {
  await cutDown(directory);
  await fs.appendFile(join(directory, 'fairlead.yaml'), 'certificates: { listen: 4443, redirect: true }\n');
}

interface Recording {
  readonly host: string;
  readonly outcome: Outcome;
  readonly run: (recorder: Recorder) => Promise<string>;
  /** Of a restart there are two histories: that of the workflow that gathers its requests, and that of the host's, which carries the run out. The same goes for a certificate. Default `host`. */
  readonly of?: 'restart' | 'host' | 'certificate';
}

/** Each brings about one path through a workflow; in this order, because they build on each other. */
const recordings: Readonly<Record<string, Recording>> = {
  'failed-first-install': { host: 'h1', outcome: 'rolled_back', run: ({ release, apply }) => release(crashing).then((id) => apply('h1', id)) },
  'first-install': { host: 'h1', outcome: 'succeeded', run: ({ release, apply }) => release().then((id) => apply('h1', id)) },
  succeeded: { host: 'h1', outcome: 'succeeded', run: ({ release, apply }) => release().then((id) => apply('h1', id)) },
  unchanged: { host: 'h1', outcome: 'unchanged', run: ({ last, apply }) => apply('h1', last()) },
  'rolled-back': { host: 'h1', outcome: 'rolled_back', run: ({ release, apply }) => release(crashing).then((id) => apply('h1', id)) },
  refused: { host: 'h1', outcome: 'refused', run: ({ last, apply }) => apply('h1', last()) },
  cancelled: {
    host: 'h1',
    outcome: 'cancelled',
    async run({ stack, release }) {
      const runId = await stack.start('h1', await release(), { bakeSeconds: 60 });
      await untilProgress(stack, runId, ({ step }) => step === 'prove api-b');
      await stack.ask('POST', `/api/runs/${runId}/cancel`, { reason: 'recorded' });
      return runId;
    },
  },
  'agent-killed': {
    host: 'h1',
    outcome: 'succeeded',
    async run({ stack, release }) {
      let killed = false;
      stack.decide(async ({ activity, point }): Promise<Verdict> => {
        if (killed || activity !== 'restartInstance' || point !== 'during') return 'go';
        killed = true;
        await killProcesses([stack.pidOf('agent-h1')]);
        return 'go';
      });
      return stack.start('h1', await release());
    },
  },
  'restart-gathered': { host: 'h1', outcome: 'succeeded', of: 'restart', run: ({ service }) => service('restart').then(() => service('restart')) },
  restart: { host: 'h1', outcome: 'succeeded', run: ({ service }) => service('restart') },
  'restart-after-another': {
    host: 'h1',
    outcome: 'succeeded',
    of: 'restart',
    async run({ stack, service }) {
      const first = await service('restart', { bakeSeconds: 4 });
      await untilProgress(stack, first, ({ step }) => step === 'prove api-a');
      return service('restart');
    },
  },
  'restart-cancelled-early': {
    host: 'h1',
    outcome: 'cancelled',
    of: 'restart',
    async run({ stack, service }) {
      const runId = await service('restart');
      await stack.ask('POST', `/api/runs/${runId}/cancel`, { reason: 'recorded' });
      return runId;
    },
  },
  'restart-cancelled': {
    host: 'h1',
    outcome: 'cancelled',
    async run({ stack, service }) {
      const runId = await service('restart', { bakeSeconds: 60 });
      await untilProgress(stack, runId, ({ step }) => step === 'prove api-b');
      await stack.ask('POST', `/api/runs/${runId}/cancel`, { reason: 'recorded' });
      return runId;
    },
  },
  reload: { host: 'h1', outcome: 'succeeded', run: ({ service }) => service('reload') },
  'instance-added': { host: 'h1', outcome: 'succeeded', run: ({ service }) => service('add-instance', { name: 'c', bakeSeconds: undefined }) },
  'instance-there': { host: 'h1', outcome: 'unchanged', run: ({ service }) => service('add-instance', { name: 'c', bakeSeconds: undefined }) },
  'instance-removed': { host: 'h1', outcome: 'succeeded', run: ({ service }) => service('remove-instance', { name: 'c', bakeSeconds: undefined }) },
  'instance-unknown': { host: 'h1', outcome: 'refused', run: ({ service }) => service('remove-instance', { name: 'c', bakeSeconds: undefined }) },
  'instance-not-added': {
    host: 'h1',
    outcome: 'rolled_back',
    async run({ stack, service }) {
      await fs.writeFile(stack.layout('h1').configFile('api-d' as InstanceName), renderInstanceConfig({ FAULTS: '{"crashAtStart":true}' }), { mode: 0o600 });
      return service('add-instance', { name: 'd', bakeSeconds: undefined });
    },
  },
  'promotion-refused': {
    host: 'h2',
    outcome: 'refused',
    async run({ stack, release, promote }) {
      await reportOf(stack, await stack.start('h2', await release(), { phase: 'setup' }));
      return promote('h2');
    },
  },
  'promotion-undone': {
    host: 'h2',
    outcome: 'rolled_back',
    async run({ stack, promote }) {
      await fetch(`${await stack.address('h2')}/api/setup/complete`, { method: 'POST', body: JSON.stringify({ publicOrigin: 'https://noderax.example.org', administrator: 'ops' }) });
      stack.decide(({ activity, direction, point }): Verdict => (activity === 'commitRelease' && direction === 'do' && point === 'after' ? 'fail' : 'go'));
      return promote('h2');
    },
  },
  promoted: { host: 'h2', outcome: 'succeeded', run: ({ promote }) => promote('h2') },
  'blue-green': { host: 'h2', outcome: 'succeeded', run: ({ stack, release }) => release().then((id) => stack.start('h2', id, { strategy: 'blue-green' })) },
  canary: { host: 'h2', outcome: 'succeeded', run: ({ stack, release }) => release().then((id) => stack.start('h2', id, { strategy: 'canary' })) },
  'certificate-issued': { host: 'h2', outcome: 'succeeded', of: 'certificate', run: ({ stack, release, certificate }) => release({ edit: withTls }).then((id) => stack.start('h2', id)).then((id) => reportOf(stack, id)).then(() => certificate('issue')) },
  'certificate-unchanged': { host: 'h2', outcome: 'unchanged', of: 'certificate', run: ({ certificate }) => certificate('renew') },
  'certificate-switched': { host: 'h2', outcome: 'succeeded', run: ({ certificate }) => certificate('renew', { force: true, reason: 'a recording' }) },
  'certificate-switched-back': {
    host: 'h2',
    outcome: 'rolled_back',
    async run({ stack, certificate }) {
      stack.decide(({ activity, direction, point }): Verdict => (activity === 'proveServed' && direction === 'do' && point === 'after' ? 'fail' : 'go'));
      return certificate('renew', { force: true, reason: 'a recording' });
    },
  },
  'certificate-delayed': {
    host: 'h2',
    outcome: 'succeeded',
    of: 'certificate',
    async run({ stack, certificate }) {
      stack.decide(({ activity, point }): Verdict => (activity === 'downloadCertificate' && point === 'before' ? 'fail' : 'go'));
      const runId = await certificate('renew', { force: true, reason: 'a recording' });
      await untilProgress(stack, runId, ({ phase }) => phase === 'Delayed');
      stack.decide(() => 'go');
      await certificate('renew');
      return runId;
    },
  },
  'host-away': {
    host: 'h1',
    outcome: 'succeeded',
    async run({ stack, release }) {
      const pid = stack.pidOf('agent-h1');
      process.kill(pid, 'SIGSTOP');
      try {
        const runId = await stack.start('h1', await release());
        await untilProgress(stack, runId, ({ waiting }) => waiting !== null);
        return runId;
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    },
  },
  stranded: {
    host: 'h1',
    outcome: 'stranded',
    async run({ stack, release }) {
      // From its next start on the instance crashes on every release: neither forward nor back can work.
      const conf = stack.layout('h1').configFile('api-a' as InstanceName);
      await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(await fs.readFile(conf, 'utf8')), FAULTS: '{"crashAtStart":true}' }));
      return stack.start('h1', await release());
    },
  },
};

interface Recorder {
  readonly stack: CheckedStack;
  /** Publishes another release. */
  release(options?: PublishOptions): Promise<string>;
  /** The release that was published last. */
  last(): string;
  apply(host: string, releaseId: string): Promise<string>;
  promote(host: string): Promise<string>;
  /** Asks for a run about the certificate of h2, which comes from a directory that has another pair by then. */
  certificate(action: 'issue' | 'renew', more?: Record<string, unknown>): Promise<string>;
  /** Asks for a run about the service `api`. */
  service(action: string, more?: Record<string, unknown>): Promise<string>;
}

async function untilProgress(stack: CheckedStack, runId: string, reached: (progress: RunProgress) => boolean): Promise<void> {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; ) {
    const { body } = await stack.ask<{ progress?: RunProgress | null }>('GET', `/api/runs/${runId}`);
    if (body.progress && reached(body.progress)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`run ${runId} did not get to where it was to be recorded`);
}

async function reportOf(stack: CheckedStack, runId: string): Promise<RunReport> {
  for (const deadline = Date.now() + 240_000; Date.now() < deadline; ) {
    const { body } = await stack.ask<{ report?: RunReport | null }>('GET', `/api/runs/${runId}`);
    if (body.report) return body.report;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`run ${runId} did not end`);
}

async function record(wanted: readonly string[], isAlone: boolean): Promise<void> {
  await fs.mkdir(directory); // Not one that is there: it is removed afterwards.
  const stack = await startCheckedStack({ dir: directory, hosts: 2, env: { FAIRLEAD_HEAL: 'report' } });
  const connection = await Connection.connect({ address: stack.dev.summary.temporal });
  let count = 0;
  const authority = await createTestAuthority();
  const recorder: Recorder = {
    stack,
    last: () => `r${count}`,
    async release(options = {}) {
      count += 1;
      await stack.publish(`r${count}`, { edit: cutDown, ...options });
      return `r${count}`;
    },
    apply: (host, releaseId) => stack.start(host, releaseId),
    async promote(host) {
      const { status, body } = await stack.ask<{ runId?: string }>('POST', '/api/promotions', { host, product: stack.product, bakeSeconds: 0 });
      if (status !== 202 || !body.runId) throw new Error(`the promotion was answered with ${status}: ${JSON.stringify(body)}`);
      return body.runId;
    },
    async certificate(action, more = {}) {
      const pairs = join(directory, 'pairs');
      await stagePair(join(pairs, names[0] as string), await authority.issue({ names }));
      await fs.writeFile(join(directory, 'roots.pem'), authority.root);
      const issue = { names, issuer: { kind: 'directory', name: 'company', directory: pairs, rootsFile: join(directory, 'roots.pem') }, originPort: null };
      const { status, body } = await stack.ask<{ runId?: string }>('POST', `/api/certificates/${action}`, { host: 'h2', product: stack.product, ...(action === 'issue' ? issue : {}), ...more });
      if (status !== 202 || !body.runId) throw new Error(`${action} was answered with ${status}: ${JSON.stringify(body)}`);
      return body.runId;
    },
    async service(action, more = {}) {
      const { status, body } = await stack.ask<{ runId?: string }>('POST', `/api/services/${action}`, { host: 'h1', product: stack.product, service: 'api', bakeSeconds: 0, ...more });
      if (status !== 202 || !body.runId) throw new Error(`${action} was answered with ${status}: ${JSON.stringify(body)}`);
      return body.runId;
    },
  };
  try {
    const { workflow } = new Client({ connection });
    for (const [name, { host, outcome, run, of }] of Object.entries(recordings)) {
      if (isAlone && !wanted.includes(name)) continue;
      const runId = await run(recorder);
      const report = await reportOf(stack, runId);
      stack.decide(() => 'go');
      if (report.outcome !== outcome) throw new Error(`${name}: ${report.outcome} instead of ${outcome}: ${JSON.stringify(report.reason)}`);
      const hostId = hostWorkflowId(host as HostId, stack.product);
      const { memo, runId: newest } = await workflow.getHandle(hostId).describe();
      // A restart is carried out by an execution with a run id of its own, whose memo names the run.
      const handle = of !== undefined && of !== 'host' ? workflow.getHandle(report.workflowId, runId) : workflow.getHandle(hostId, memo?.['runId'] === runId ? newest : runId);
      await handle.result(); // The report is there a moment before the last event.
      const text = renderHistory(await handle.fetchHistory());
      if (wanted.length === 0 || wanted.includes(name)) await fs.writeFile(join(target, `${name}.json`), text);
      process.stdout.write(`${name}: ${outcome}, ${text.split('\n').length - 3} events, ${Math.ceil(text.length / 1024)} KiB\n`);
    }
  } finally {
    await connection.close();
    await stack.end();
    await fs.rm(directory, { recursive: true, force: true });
  }
}

await fs.mkdir(target, { recursive: true });
const given = process.argv.slice(2);
const wanted = given.filter((word) => word !== '--alone');
/** What is recorded together, because it is one story, or because it needs another stack. */
const stories: readonly { readonly names: (name: string) => boolean; readonly record: () => Promise<void> }[] = [
  { names: (name) => ['certificate-shared', 'certificate-distributed', 'certificate-delivered', 'certificate-held-back', 'certificate-not-taken', 'promotion-certificate-undone', 'promoted-with-certificate'].includes(name), record: () => recordDistribution(directory, target) },
  ...Object.entries(fromMemory).map(([story, { files }]) => ({ names: (name: string) => files.includes(name), record: () => recordFromMemory(story, target) })),
  { names: (name) => name.startsWith('rollout') && !Object.values(fromMemory).some(({ files }) => files.includes(name)), record: () => recordRollouts(directory, target) },
  { names: (name) => ['bundle-fetched', 'bundle-not-fetched'].includes(name), record: () => recordBundlePrefetch(directory, target) },
  { names: (name) => name.startsWith('release-check'), record: () => recordReleaseChecks(directory, target) },
];
const single = wanted.filter((name) => !stories.some(({ names }) => names(name)));
if (wanted.length === 0 || single.length > 0) await record(single, given.includes('--alone'));
for (const { names, record: recordStory } of stories) if (wanted.length === 0 || wanted.some(names)) await recordStory();
