import * as fs from 'node:fs/promises';
import type { RunReport } from '../../src/domain/run/report.ts';
import { brokenGuarantees } from '../support/invariants.ts';
import { startLoad, type LoadResult } from '../support/load.ts';
import { describeWith, program, thorough, type Requirement } from '../support/requirement.ts';
import { holdLongClients, unfelt, type LongStory } from '../support/long-clients.ts';
import { shortDrain, startStack, startWithin, type Stack } from '../support/stack.ts';

const routers: readonly { readonly router: 'nginx' | 'embedded'; readonly needs: readonly Requirement[] }[] = [
  { router: 'nginx', needs: [program('nginx'), thorough('the embedded router')] },
  { router: 'embedded', needs: [] },
];
const asking = () => new Promise((resolve) => setTimeout(resolve, 500));
/** The set-up of a release that cannot be promoted has to start: its limit is short, and not so short that a busy machine passes it. */
const limitedStart = startWithin(10);

/** From /setup to the dashboard, and back where it does not work; clients do not feel it. */
for (const { router, needs } of routers) {
  describeWith(needs, `promotion, through the ${router} router`, () => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await startStack({ hosts: 2, replace: { env: { FAIRLEAD_ROUTER: router } } });
      await stack.publish('r1', { edit: shortDrain });
      await stack.publish('bad', { edit: limitedStart, faults: { notReady: true, only: ['api-b'] } });
      for (const [host, releaseId] of [['h1', 'r1'], ['h2', 'bad']] as const) {
        const report = await stack.apply(host, releaseId);
        expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
        expect((await stack.state(host)).phase).toBe('setup');
      }
    }, 240_000);
    afterAll(() => stack?.end(), 60_000);

    const envFile = (host: string) => stack.layout(host).envFile;
    const page = async (host: string) => (await fetch(`${await stack.address(host)}/`, { headers: { connection: 'close' } })).text();

    async function finishSetup(host: string, what: Record<string, string>): Promise<void> {
      const answer = await fetch(`${await stack.address(host)}/api/setup/complete`, { method: 'POST', headers: { 'content-type': 'application/json', connection: 'close' }, body: JSON.stringify(what) });
      expect(answer.status).toBe(200);
    }

    test('set-up is not complete: refused with what is missing, exit code 3, nothing was touched', async () => {
      const before = await stack.state('h1');
      const { exitCode, stdout, stderr } = await stack.fairlead('promote', '--host', 'h1');
      expect([exitCode, stdout + stderr]).toEqual([3, expect.stringContaining('missing: the public origin, an administrator')]);
      expect({ ...(await stack.state('h1')), lastRunId: null, updatedAt: '' }).toEqual({ ...before, lastRunId: null, updatedAt: '' });
      await expect(fs.access(envFile('h1'))).rejects.toThrow();
    }, 60_000);

    test('a public origin with a path: refused, and it is named', async () => {
      await finishSetup('h1', { publicOrigin: 'https://noderax.example.org/app', administrator: 'ops' });
      const report = await stack.promote('h1');
      expect([report.outcome, report.reason?.code, report.reason?.message]).toEqual(['refused', 'public_origin_invalid', expect.stringContaining('https://noderax.example.org/app')]);
    }, 60_000);

    test('promote --plan shows the steps that the run then takes', async () => {
      await finishSetup('h1', { publicOrigin: 'https://noderax.example.org' });
      const { stdout } = await stack.fairlead('promote', '--host', 'h1', '--plan');
      expect(stdout).toContain('phase setup -> installed');
      expect(stdout.split('\n').flatMap((line) => /^ +\d+ {2}(.*)$/.exec(line)?.[1] ?? [])).toEqual([
        'open-intent', 'check-setup', 'backup', 'arm-recovery', 'write-environment', 'configure',
        'restart api-a', 'prove api-a', 'restart api-b', 'prove api-b', 'restart web-a', 'prove web-a', 'restart web-b', 'prove web-b',
        'shift 100 %', 'verify-health', 'commit', 'retire api-setup', 'retire web-setup', 'close-intent',
      ]);
    }, 60_000);

    /** Guarantee 12. */
    test('under 200 requests a second, with a WebSocket, a long poll and an upload: none fails, the dashboard is there, the setup runtime is gone', async () => {
      const address = await stack.address('h1');
      const secretBefore = await page('h1');
      expect(secretBefore).toContain('Noderax setup');
      const clients = startLoad({ urls: ['/api/health', '/web/health'].map((path) => address + path), postUrl: `${address}/api/rows`, postShare: 0.2, requestsPerSecond: 200, connections: 12 });
      const long = await holdLongClients(address);
      let report: RunReport;
      let load: LoadResult;
      let story: LongStory;
      try {
        await asking();
        report = await stack.promote('h1');
        await asking();
      } finally {
        [load, story] = await Promise.all([clients.stop(), long.end()]);
      }
      expect([report.outcome, report.reason, report.kind]).toEqual(['succeeded', null, 'promotion']);
      expect(load.failed).toEqual([]);
      expect(load.succeeded).toBe(load.sent);
      expect(story).toEqual(unfelt);
      // It was open to the setup instance, which said that it goes.
      expect(story.socket.announced).toEqual([1012]);
      expect(await page('h1')).toContain('Noderax dashboard');
      const state = await stack.state('h1');
      expect([state.phase, Object.keys(state.instances).sort()]).toEqual(['installed', ['api-a', 'api-b', 'web-a', 'web-b']]);
      expect(await brokenGuarantees(stack, report)).toEqual([]);
    }, 240_000);

    test('what the set-up has settled is in .env.production, 0600, is read by the product, and stands in no history', async () => {
      const text = await fs.readFile(envFile('h1'), 'utf8');
      const secret = /^SESSION_SECRET='(.{20,})'$/m.exec(text)?.[1] as string;
      expect(text).toContain("PUBLIC_ORIGIN='https://noderax.example.org'");
      expect((await fs.stat(envFile('h1'))).mode & 0o777).toBe(0o600);
      const detailed = (await (await fetch(`${await stack.address('h1')}/api/health/detailed`, { headers: { connection: 'close' } })).json()) as Record<string, unknown>;
      expect(detailed).toMatchObject({ phase: 'installed', hasSessionSecret: true, publicOrigin: 'https://noderax.example.org' });
      const { body } = await stack.ask<{ runs: { runId: string; kind: string }[] }>('GET', '/api/runs?host=h1');
      for (const run of body.runs) expect(JSON.stringify((await stack.ask('GET', `/api/runs/${run.runId}`)).body)).not.toContain(secret);
    }, 60_000);

    test('asked twice, it does it once', async () => {
      const before = await stack.state('h1');
      const report = await stack.promote('h1');
      expect([report.outcome, report.steps]).toEqual(['unchanged', []]);
      expect(await stack.state('h1')).toEqual(before);
    }, 60_000);

    /** Guarantee 2. */
    test('an installed instance does not get ready: back to a working set-up, nothing of the promotion is left', async () => {
      await finishSetup('h2', { publicOrigin: 'https://noderax.example.org', administrator: 'ops' });
      const before = await stack.state('h2');
      const report = await stack.promote('h2');
      expect([report.outcome, report.reason?.code]).toEqual(['rolled_back', 'probe_failed']);
      expect(report.evidence.some((fact) => fact.kind === 'probe')).toBe(true);
      const { lastRunId: _a, updatedAt: _b, ...after } = await stack.state('h2');
      const { lastRunId: _c, updatedAt: _d, ...was } = before;
      expect(after).toEqual(was);
      expect(await page('h2')).toContain('Noderax setup');
      await expect(fs.access(envFile('h2'))).rejects.toThrow();
      expect((await fs.readdir(stack.layout('h2').configDir)).filter((name) => !name.endsWith('-setup.conf'))).toEqual([]);
      expect(await brokenGuarantees(stack, report)).toEqual([]);
    }, 240_000);
  });
}
