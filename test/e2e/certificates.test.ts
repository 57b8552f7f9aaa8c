import * as fs from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Client, Connection, type ScheduleHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { RunReport } from '../../src/domain/run/report.ts';
import { watchHandshakes } from '../support/certificate-bed.ts';
import { createCertificateStack, stackLimitMs, stackNames, type CertificateStack } from '../support/certificate-stack.ts';
import { killProcesses } from '../support/checked-stack.ts';
import type { Verdict } from '../support/checkpoints.ts';
import { eventually } from '../support/eventually.ts';
import { pebbleIsThere } from '../support/pebble.ts';
import { describeWith, program } from '../support/requirement.ts';

const limitMs = stackLimitMs;
const names = stackNames;
const hour = 3_600_000;

const brief = ({ outcome, reason }: RunReport) => [outcome, reason];
const done = ['succeeded', null];
const plainStatus = (port: number) =>
  new Promise<number>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/health', agent: false, headers: { host: names[0] } }, (response) => resolve((response.resume(), response.statusCode ?? 0))).on('error', reject).end();
  });

/** Every line of every key on the host: what must stand nowhere else. */
async function secretsOf(bed: CertificateStack): Promise<string[]> {
  const { acmeDir } = bed.stack.layout('h1');
  const files = (await fs.readdir(acmeDir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map((file) => fs.readFile(file, 'utf8')));
  const keys = texts.flatMap((text) => text.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END/g) ?? []);
  const jwks = texts.flatMap((text) => [...text.matchAll(/"d":\s*"([A-Za-z0-9_-]{20,})"/g)].map((match) => match[1] as string));
  return [...new Set([...keys.flatMap((key) => key.split(/\\n|\n/).filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line))), ...jwks])];
}

describeWith([pebbleIsThere, program('nginx')], 'certificates of a whole Fairlead with nginx, whose schedule looks every two seconds', () => {
  let bed: CertificateStack;
  let watch: ReturnType<typeof watchHandshakes> | null = null;

  beforeAll(async () => {
    bed = await createCertificateStack('nginx', { env: { FAIRLEAD_SCHEDULER: 'on', FAIRLEAD_CERTIFICATE_SECONDS: '2' } });
  }, limitMs);
  afterEach(() => bed?.stack.decide(() => 'go'));
  /** The schedule has the certificate renewed; where a try of it failed, the next one is too far away to be waited for, and why it failed is told. */
  const renewedByItself = (before: string) =>
    eventually('another one is served', async () => {
      if ((await bed.activePem()) !== before) return true;
      await new Promise((resolve) => setTimeout(resolve, 250));
      const { lastTry } = (await bed.status()).status;
      if (lastTry?.succeeded === false) throw new Error(JSON.stringify(lastTry.reason));
      return false;
    }, limitMs / 2);
  async function onSchedule<T>(work: (schedule: ScheduleHandle) => Promise<T>): Promise<T> {
    const temporal = await Connection.connect({ address: bed.stack.dev.summary.temporal });
    try {
      return await work(new Client({ connection: temporal }).schedule.getHandle('certificates'));
    } finally {
      await temporal.close();
    }
  }
  /** No sweep begins while `work` does, and none that began before is still under way. */
  const withoutSweeps = <T>(work: () => Promise<T>): Promise<T> =>
    onSchedule(async (schedule) => {
      await schedule.pause();
      try {
        await eventually('no sweep is under way', async () => (await schedule.describe()).info.runningActions.length === 0, limitMs);
        return await work();
      } finally {
        await schedule.unpause();
      }
    });
  afterAll(async () => {
    await watch?.stop();
    await bed?.end();
  }, limitMs);

  test('the first one: from plain HTTP to TLS, then plain HTTP is redirected; asked again it is unchanged', async () => {
    const plain = (await bed.stack.state('h1')).router?.port as number;
    expect(await plainStatus(plain)).toBe(200);
    const asked = { names, issuer: await bed.issuer(), originPort: null };
    const report = await bed.ended((await bed.post('issue', asked)).runId);
    expect(brief(report)).toEqual(done);
    expect([report.kind, report.workflowId, report.toReleaseId]).toEqual(['cert-renewal', `certificate/h1/${bed.stack.product}`, 'r1']);
    const steps = ['order', 'present-challenges', 'answer-challenges', 'await-validation', 'remove-challenges', 'finalize'];
    expect(report.steps.map(({ name }) => name)).toEqual([...steps, ...(report.steps.some(({ name }) => name === 'await-certificate') ? ['await-certificate'] : []), 'download', 'open-intent', 'stage', 'check', 'back-up', 'arm-recovery', 'switch', 'test-router', 'reload', 'prove', 'commit', 'prune', 'forget-order', 'close-intent']);
    expect(await plainStatus(plain)).toBe(308);
    watch = watchHandshakes(await bed.targets());
    await eventually('the status knows it', async () => (await bed.status()).status.state === 'valid', limitMs);
    expect(await bed.status()).toMatchObject({ host: 'h1', issuerName: 'pebble', status: { names: expect.arrayContaining(names), lastTry: { succeeded: true }, nextTryAt: null, plan: { because: 'ari' } } });
    expect(brief(await bed.ended((await bed.post('issue', asked)).runId))).toEqual(['unchanged', null]);
    const renewed = await bed.stack.fairlead('cert', 'renew', '--host', 'h1');
    expect([renewed.exitCode, renewed.stderr]).toEqual([0, expect.stringContaining('certificate of')]);
    expect((await bed.stack.fairlead('cert', 'status')).stdout).toContain('app.example.org');
    const key = (await fs.readFile(bed.stack.dev.summary.adminKeyFile, 'utf8')).trim();
    const metrics = await (await fetch(`${bed.stack.dev.summary.api}/metrics`, { headers: { authorization: `Bearer ${key}` } })).text();
    expect(metrics).toMatch(/^fairlead_certificate_not_after_seconds\{host="h1",product="noderax-platform",name="[a-z.]+"\} \d{10}$/m);
  }, limitMs);

  test('an agent that is killed with the certificate issued and not downloaded goes on with the same order', async () => {
    let killed = 0;
    bed.stack.decide(async ({ activity, point }): Promise<Verdict> => {
      if (activity !== 'downloadCertificate' || point !== 'before' || killed > 0) return 'go';
      killed += 1;
      await killProcesses([bed.stack.pidOf('agent-h1')]);
      return 'go';
    });
    const report = await bed.ended((await bed.post('renew', { force: true, reason: 'a test' })).runId);
    expect(brief(report)).toEqual(done);
    expect([killed, report.steps.filter(({ name }) => name === 'order').length, report.steps.filter(({ name }) => name === 'finalize').length]).toEqual([1, 1, 1]);
  }, limitMs);

  test('a CA that dies in the middle of an order is waited for, visibly; the certificate that works is left alone, and the run ends well', async () => {
    const before = await bed.activePem();
    let killed = 0;
    bed.stack.decide(async ({ activity, point }): Promise<Verdict> => {
      if (activity !== 'answerChallenges' || point !== 'before' || killed > 0) return 'go';
      killed += 1;
      await bed.pebble.kill();
      return 'go';
    });
    const { runId } = await bed.post('renew', { force: true, reason: 'a test' });
    const waiting = await eventually('it waits for the next try', async () => {
      const { progress } = await bed.detail(runId);
      return progress?.phase === 'Delayed' ? progress.waiting : null;
    }, limitMs);
    expect(waiting).toMatchObject({ for: expect.stringMatching(/next try/), until: expect.stringMatching(/^20/), release: expect.stringContaining('fairlead cert renew') });
    expect(await bed.activePem()).toBe(before);
    expect(await bed.status()).toMatchObject({ run: { runId }, status: { lastTry: { succeeded: false, reason: { class: 'dependency' } }, nextTryAt: expect.any(String) } });
    // The host is free meanwhile.
    expect((await bed.stack.apply('h1', 'r1')).outcome).toBe('unchanged');
    await bed.pebble.start();
    await bed.issuer();
    // Each try that fails at once is nudged on: after a restart the CA knows neither account nor order.
    await eventually('the run ends', async () => {
      const { report: end, progress } = await bed.detail(runId);
      if (end === null && progress?.phase === 'Delayed') expect((await bed.post('renew')).joined).toBe(true);
      return end as RunReport | null;
    }, limitMs);
    // It has reported, and may still be looking at what it brought about: another one begins once it is over.
    const report = await bed.ended(runId);
    expect(brief(report)).toEqual(done);
    expect(await bed.activePem()).not.toBe(before);
  }, limitMs);

  test('a reload that does nothing: the old pair is back and proven, and the report names the backup', async () => {
    const before = await bed.activePem();
    const base = join(bed.stack.layout('h1').fairleadDir, 'router/nginx');
    const found = async () => (await fs.readdir(base, { recursive: true })).filter((file) => file.endsWith('locations.conf')).map((file) => join(base, file));
    let away: string[] = [];
    bed.stack.decide(async ({ activity, point, direction }): Promise<Verdict> => {
      if (activity !== 'reloadRouter' || point !== 'before' || direction !== 'do' || away.length > 0) return 'go';
      away = await found();
      for (const file of away) await fs.rename(file, `${file}.away`);
      return 'go';
    });
    const report = await bed.ended((await bed.post('renew', { force: true, reason: 'a test' })).runId);
    for (const file of away) await fs.rename(`${file}.away`, file).catch(() => undefined);
    expect([report.outcome, report.reason?.code]).toEqual(['rolled_back', 'reload_did_nothing']);
    expect(report.steps.filter(({ direction }) => direction === 'undo').map(({ name, outcome }) => [name, outcome])).toEqual([['restore', 'done'], ['reload', 'done'], ['prove', 'done'], ['close-intent', 'done']]);
    expect(await fs.readFile(join(report.backupPath as string, 'fullchain.pem'), 'utf8')).toBe(before);
    expect(await bed.activePem()).toBe(before);
    // The pair that was not taken into use lies there still: the next run needs no new order.
    const again = await bed.ended((await bed.post('renew', { force: true, reason: 'a test' })).runId);
    expect(brief(again)).toEqual(done);
    expect(again.steps.some(({ name }) => name === 'finalize')).toBe(false);
  }, limitMs);

  test('the schedule renews by the window that the CA gives, by itself, and finds nothing to do after that', async () => {
    const before = await bed.activePem();
    // A sweep that has asked the CA before the first and goes by the clock of after the second would not ask again for hours.
    await withoutSweeps(async () => {
      await bed.pebble.setRenewalInfo(before, JSON.stringify({ suggestedWindow: { start: new Date(Date.now() + 60_000).toISOString(), end: new Date(Date.now() + hour).toISOString() } }));
      // By the host's clock the window is over, the CA may be asked again, and the certificate is old enough to be renewed.
      await fs.writeFile(bed.clockFile, String(7 * hour));
    });
    await renewedByItself(before);
    const { body } = await bed.stack.ask<{ runs: { runId: string; kind: string; requestedBy: string }[] }>('GET', '/api/runs?limit=50');
    const own = body.runs.filter(({ kind, requestedBy }) => kind === 'cert-renewal' && requestedBy === 'schedule');
    expect(own).toHaveLength(1);
    expect(brief(await bed.ended(own[0]?.runId as string))).toEqual(done);
    const after = await bed.activePem();
    await onSchedule(async (schedule) => {
      const count = async () => (await schedule.describe()).info.numActionsTaken;
      const at = await count();
      await eventually('two more sweeps', async () => (await count()) >= at + 2, limitMs);
    });
    expect(await bed.activePem()).toBe(after);
  }, limitMs);

  test('a CA whose window cannot be meant: renewed by lifetime', async () => {
    await fs.rm(bed.clockFile);
    // A sweep between the certificate and what the CA says of it would hear of another window, and not ask again for hours.
    const before = await withoutSweeps(async () => {
      const short = await bed.ended((await bed.post('issue', { names, issuer: await bed.issuer({ profile: 'hours' }), originPort: null, force: true, reason: 'a test' })).runId);
      expect(brief(short)).toEqual(done);
      const pem = await bed.activePem();
      await bed.pebble.setRenewalInfo(pem, '{"suggestedWindow":{"start":"soon"}}');
      expect(brief(await bed.ended((await bed.post('renew')).runId))).toEqual(['unchanged', null]);
      return pem;
    });
    expect((await bed.status()).status.plan).toMatchObject({ because: 'half_left' });
    await fs.writeFile(bed.clockFile, String(3.5 * hour));
    await renewedByItself(before);
    const audit = await bed.stack.ask<{ rows: { event: string; detail: { because?: string } }[] }>('GET', '/api/audit?limit=200');
    expect(audit.body.rows.some(({ event, detail }) => event === 'run.intended' && detail.because === 'half_left')).toBe(true);
  }, limitMs);

  /** Guarantees 5 and 7. */
  test('throughout no handshake failed, and no key stands anywhere but in its files', async () => {
    // By a clock that is ahead the short one is due again as soon as it is there; what is searched below must not change meanwhile.
    await fs.rm(bed.clockFile, { force: true });
    await withoutSweeps(() => eventually('no renewal is under way', async () => (await bed.status()).run === null, limitMs / 2));
    const seen = await (watch as ReturnType<typeof watchHandshakes>).stop();
    expect(seen.failed).toEqual([]);
    expect(seen.count).toBeGreaterThan(100);
    const secrets = await secretsOf(bed);
    expect(secrets.length).toBeGreaterThan(2);
    const texts: [string, string][] = [];
    const temporal = await Connection.connect({ address: bed.stack.dev.summary.temporal });
    try {
      const { workflow } = new Client({ connection: temporal });
      // Payloads are base64 in the JSON of a history.
      for await (const { workflowId, runId, type } of workflow.list()) {
        if (!type.startsWith('cert')) continue;
        const json = historyToJSON(await workflow.getHandle(workflowId, runId).fetchHistory());
        texts.push([`history of ${workflowId}`, json + [...json.matchAll(/"data": ?"([A-Za-z0-9+/=]+)"/g)].map((match) => Buffer.from(match[1] as string, 'base64').toString()).join('\n')]);
      }
    } finally {
      await temporal.close();
    }
    expect(texts.length).toBeGreaterThan(8);
    for (const path of ['/api/audit?limit=200', '/api/certificates', '/api/runs?limit=200']) texts.push([path, JSON.stringify((await bed.stack.ask('GET', path)).body)]);
    const own = bed.stack.layout('h1').acmeDir;
    const files = (await fs.readdir(bed.stack.dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const file of files) if (!file.startsWith(own)) texts.push([file, await fs.readFile(file, 'latin1').catch(() => '')]);
    const found = texts.filter(([, text]) => secrets.some((secret) => text.includes(secret))).map(([where]) => where);
    expect(found).toEqual([]);
    expect(texts.some(([where]) => where.includes('postgres')) && texts.some(([where]) => where.endsWith('.log'))).toBe(true);
  }, limitMs);
});

describeWith([pebbleIsThere], 'certificates of a whole Fairlead with the embedded router', () => {
  let bed: CertificateStack;
  beforeAll(async () => {
    bed = await createCertificateStack('embedded');
  }, limitMs);
  afterAll(() => bed?.end(), limitMs);

  test('the first one, and its renewal: no handshake fails', async () => {
    expect(brief(await bed.ended((await bed.post('issue', { names, issuer: await bed.issuer(), originPort: null })).runId))).toEqual(done);
    const before = await bed.activePem();
    const watch = watchHandshakes(await bed.targets());
    try {
      expect(brief(await bed.ended((await bed.post('renew', { force: true, reason: 'a test' })).runId))).toEqual(done);
    } finally {
      expect((await watch.stop()).failed).toEqual([]);
    }
    expect(await bed.activePem()).not.toBe(before);
  }, limitMs);
});
