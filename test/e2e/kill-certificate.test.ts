import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client, Connection, type ScheduleHandle } from '@temporalio/client';
import { readCertificateFacts } from '../../src/adapters/certificate-issuer/facts.ts';
import { certificateSchedule } from '../../src/domain/run/names.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { caFaults, isFinalize, isNewOrder, passingFaults, renewalInformationFaults, staysProcessing } from '../support/ca-faults.ts';
import { watchHandshakes } from '../support/certificate-bed.ts';
import { createTestAuthority, stagePair } from '../support/certificates.ts';
import { brokenService, createCertificateMatrix, ofControl, ofTheHost, renewals, type CertificateMatrix } from '../support/certificate-matrix.ts';
import { createCertificateStack, stackLimitMs as limitMs, stackNames as names, type CertificateStack } from '../support/certificate-stack.ts';
import { points, type Checkpoint, type Verdict } from '../support/checkpoints.ts';
import { eventually } from '../support/eventually.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { auditOf, brokenAudit } from '../support/invariants.ts';
import { pebbleIsThere } from '../support/pebble.ts';
import { describeWith, program, triesEverything } from '../support/requirement.ts';

/** Elsewhere than on a machine that is there for testing each activity is tried at one of the points. */
const turns = triesEverything ? points.map((_, turn) => turn) : [0];

/** Guarantees 4, 7 and 9. */
describeWith([pebbleIsThere, program('nginx')], 'a renewal that loses its CA, its agent or its control worker', () => {
  let bed: CertificateStack;
  let proxy: FaultProxy;
  let matrix: CertificateMatrix;
  let temporal: Connection;
  let schedule: ScheduleHandle;
  let pausedAt: number;
  let sweptBefore: number;
  let elsewhere: Server;
  let watch: ReturnType<typeof watchHandshakes> | null = null;
  const fromHere = { [names[0] as string]: ['127.0.0.1'], [names[1] as string]: ['127.0.0.1'] };

  beforeAll(async () => {
    // A killed worker holds its run up for as long as these say; the outcome is the same.
    bed = await createCertificateStack('nginx', { checksControl: true, proxied: true, resolves: true, env: { FAIRLEAD_SCHEDULER: 'on', FAIRLEAD_STICKY_TIMEOUT_MS: '300', FAIRLEAD_WORKFLOW_TASK_TIMEOUT_MS: '1000' } });
    proxy = bed.proxy as FaultProxy;
    matrix = createCertificateMatrix(bed.stack, renewals);
    elsewhere = createServer((_request, response) => response.end('Welcome to nginx!'));
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    temporal = await Connection.connect({ address: bed.stack.dev.summary.temporal });
    schedule = new Client({ connection: temporal }).schedule.getHandle(certificateSchedule);
    await schedule.pause('by hand');
    // Its interval is counted from the epoch, and may have ended since control was started.
    sweptBefore = (await schedule.describe()).info.numActionsTaken;
    pausedAt = Date.now();
  }, limitMs);
  beforeEach(() => {
    proxy.inject();
    proxy.seen.length = 0;
  });
  afterEach(() => bed?.stack.decide(() => 'go'));
  afterAll(async () => {
    await matrix?.end();
    await watch?.stop();
    await temporal?.close();
    elsewhere?.close();
    await bed?.end();
  }, limitMs);

  const root = () => bed.stack.dev.summary.hosts[0]?.root as string;
  const ended = async (runId: string): Promise<RunReport> => {
    const report = await bed.ended(runId);
    expect(brokenAudit(await auditOf(bed.stack, runId), report)).toEqual([]);
    return report;
  };
  const renew = async () => ended((await bed.post('renew', { force: true, reason: 'a test' })).runId);
  /** One matching pair is in force, it is what every listener serves for every name, and nothing of a run is left. */
  const expectServed = async () => expect({ broken: matrix.broken, left: await brokenService(bed) }).toEqual({ broken: [], left: [] });
  const failsAfter = (...steps: readonly string[]) => ({ activity, direction, point }: Checkpoint): boolean => point === 'after' && steps.includes(`${activity} ${direction}`);
  const brief = ({ outcome, reason }: RunReport) => [outcome, reason];

  describe('the first one is asked for at a wrong place', () => {
    const issue = async (more: readonly string[]) => {
      const { directoryUrl, caBundleFile, rootsFile } = await bed.issuer();
      return bed.stack.fairlead('cert', 'issue', '--host', 'h1', '--issuer', directoryUrl, '--ca-bundle', caBundleFile, '--roots', rootsFile, '--profile', 'default', ...more);
    };
    const portOf = { router: () => bed.plain, elsewhere: () => (elsewhere.address() as AddressInfo).port, nobody: () => 9 };
    test.each<[string, string, keyof typeof portOf, Readonly<Record<string, readonly string[]>>, RegExp, RegExp, 3 | 64]>([
      ['a name that does not resolve here', 'gone.example.org', 'router', {}, /gone\.example\.org resolves to no address/, /Add an A or AAAA record/, 3],
      ['a name that leads to something else', 'app.example.org', 'elsewhere', fromHere, /app\.example\.org leads to 127\.0\.0\.1 \(200 "Welcome to nginx!"\), where something else/, /stale AAAA record/, 3],
      ['a name one of whose addresses does not answer', 'app.example.org', 'nobody', fromHere, /port 9 there cannot be reached: .*ECONNREFUSED/, /Open the port in the firewall/, 3],
      ['https with a path', 'https://app.example.org/admin', 'router', fromHere, /"https:\/\/app\.example\.org\/admin" is not a bare DNS name/, /Leave out scheme, port and path/, 64],
      ['http', 'http://app.example.org', 'router', fromHere, /is not a bare DNS name/, /Leave out scheme, port and path/, 64],
      ['a port', 'app.example.org:8443', 'router', fromHere, /"app\.example\.org:8443" is not a bare DNS name/, /Leave out scheme, port and path/, 64],
    ])('%s: refused with the answer that it got and a hint, and the CA is not asked for anything', async (_what, name, port, resolved, message, hint, expected) => {
      await bed.resolve(resolved);
      const { exitCode, stdout, stderr } = await issue(['--names', name, '--origin-port', String(portOf[port]())]);
      expect({ exitCode, told: stdout + stderr }).toEqual({ exitCode: expected, told: expect.stringMatching(message) });
      expect(stdout + stderr).toMatch(hint);
      expect(proxy.seen).toEqual([]);
    }, limitMs);

    test('every name leads to the router of the host: issued', async () => {
      await bed.resolve(fromHere);
      const { exitCode, stderr } = await issue(['--names', names.join(','), '--origin-port', String(bed.plain)]);
      expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, '']);
      await expectServed();
      watch = watchHandshakes(await bed.targets());
    }, limitMs);
  });

  describe('a CA at fault is waited for, visibly, with the old certificate served; healed, the same run ends well', () => {
    test.each(caFaults)('$name', async ({ code, faults, orders, address = '127.0.0.1', waitsMs = 0 }) => {
      const old = await bed.activePem();
      proxy.inject(...faults(old));
      await bed.pebble.setAddress(names[0] as string, address);
      const { runId } = await bed.post('renew', { force: true, reason: 'a test' });
      const waiting = await eventually('it waits for the next try', async () => {
        const { progress, report } = await bed.detail(runId);
        if (report) throw new Error(JSON.stringify(report));
        return progress?.phase === 'Delayed' ? progress.waiting : null;
      }, limitMs);
      expect(waiting).toMatchObject({ for: expect.stringMatching(/^the next try: /), release: expect.stringContaining('fairlead cert renew') });
      expect((await bed.status()).status.lastTry).toMatchObject({ succeeded: false, reason: { code, hint: expect.any(String) } });
      expect(Date.parse(waiting.until as string) - Date.now()).toBeGreaterThan(Math.max(30_000, waitsMs - 600_000));
      expect(await bed.activePem()).toBe(old);
      expect(proxy.count((seen) => isNewOrder(seen) && seen.status === 201)).toBe(orders - 1);
      proxy.inject();
      await bed.pebble.setAddress(names[0] as string, '127.0.0.1');
      expect((await bed.post('renew')).joined).toBe(true);
      expect(brief(await ended(runId))).toEqual(['succeeded', null]);
      expect(proxy.count((seen) => isNewOrder(seen) && seen.status === 201)).toBe(orders);
      expect(await bed.activePem()).not.toBe(old);
      await expectServed();
    }, limitMs);

    test('its order stays in processing: said, and the same order goes on when the CA does', async () => {
      const old = await bed.activePem();
      proxy.inject(staysProcessing);
      const { runId } = await bed.post('renew', { force: true, reason: 'a test' });
      const waiting = await eventually('it waits for the CA', async () => {
        const { progress } = await bed.detail(runId);
        return progress?.waiting?.for.endsWith(' to issue') ? progress.waiting : null;
      }, limitMs);
      expect(waiting).toMatchObject({ until: expect.stringMatching(/^20/), release: expect.stringContaining('cancels the run') });
      expect(await bed.activePem()).toBe(old);
      proxy.inject();
      expect(brief(await ended(runId))).toEqual(['succeeded', null]);
      expect([proxy.count(isNewOrder), proxy.count(isFinalize)]).toEqual([1, 1]);
    }, limitMs);

    test('it rejects nine of ten nonces, and says that what is replaced was replaced already: got over in the same try', async () => {
      const old = await bed.activePem();
      proxy.inject(...passingFaults());
      const report = await ended((await bed.post('renew', { force: true, reason: 'a test' })).runId);
      expect(brief(report)).toEqual(['succeeded', null]);
      expect(proxy.seen.filter((seen) => isNewOrder(seen) && seen.status !== 400).map(({ status, payload }) => [status, typeof payload?.['replaces']])).toEqual([[409, 'string'], [201, 'undefined']]);
      expect(proxy.count(({ status }) => status === 400)).toBeGreaterThan(50);
      expect(await bed.activePem()).not.toBe(old);
      await expectServed();
    }, limitMs);

    test('its renewal information is no answer, in any form: nothing is due, by the own schedule, and nothing is ordered', async () => {
      const old = await bed.activePem();
      for (const fault of renewalInformationFaults) {
        proxy.inject(fault);
        expect(brief(await ended((await bed.post('renew')).runId))).toEqual(['unchanged', null]);
        expect((await bed.status()).status.plan).toMatchObject({ because: 'one_third_left' });
      }
      expect([proxy.count(isNewOrder), await bed.activePem()]).toEqual([0, old]);
    }, limitMs);
  });

  describe('somebody is killed', () => {
    test.each(turns)('at every activity in turn, on the way forward (turn %i): the run ends as if nothing had happened, with one finalization', async (turn) => {
      const old = await bed.activePem();
      matrix.turn(turn, ({ direction }) => direction === 'do');
      const { runId } = await bed.post('issue', { names, issuer: await bed.issuer(), originPort: bed.plain, force: true, reason: 'a test' });
      expect(brief(await ended(runId))).toEqual(['succeeded', null]);
      matrix.calm();
      await expectServed();
      expect(proxy.count((seen) => isFinalize(seen) && seen.status === 200)).toBe(1);
      expect(await bed.activePem()).not.toBe(old);
    }, limitMs);

    test.each(turns)('at every activity in turn, on the way back (turn %i): the old pair is back and served', async (turn) => {
      const old = await bed.activePem();
      matrix.turn(turn, ({ direction, activity }) => direction === 'undo' || activity === 'recordCertificateUndo', failsAfter('proveServed do'));
      const report = await renew();
      matrix.calm();
      expect([report.outcome, report.reason?.code]).toEqual(['rolled_back', 'injected']);
      expect(await fs.readFile(join(report.backupPath as string, 'fullchain.pem'), 'utf8')).toBe(old);
      expect(await bed.activePem()).toBe(old);
      await expectServed();
    }, limitMs);

    test('and the way back stops as well: stranded, refused until a person recovers, and then the old pair is back and served', async () => {
      const old = await bed.activePem();
      matrix.turn(0, ({ activity }) => activity === 'strandCertificate', failsAfter('proveServed do', 'restoreCertificate undo'));
      const report = await renew();
      matrix.calm();
      expect([report.outcome, report.reason?.code]).toEqual(['stranded', 'injected']);
      expect(report.recovery).toMatchObject({ stuckAt: 'restore', backupPath: report.backupPath, commands: expect.arrayContaining([expect.stringContaining('fairlead recover')]) });
      expect(brief(await renew())).toEqual(['refused', expect.objectContaining({ class: 'host', code: 'host_stranded', hint: expect.stringContaining('fairlead recover') })]);
      const { exitCode, stdout, stderr } = await bed.stack.fairlead('recover', '--root', root(), '--product', bed.stack.product);
      expect([exitCode, stdout + stderr]).toEqual([0, expect.stringContaining('proven on 2 listeners and names')]);
      expect(await bed.activePem()).toBe(old);
      await expectServed();
      expect(brief(await renew())).toEqual(['succeeded', null]);
      await expectServed();
    }, limitMs);

    test('at all activities of these runs somebody was, before, during and after their effect', () => {
      expect(ofTheHost.filter((activity) => matrix.tried('agent', activity) < (activity === 'strandCertificate' ? points.length : turns.length))).toEqual([]);
      expect(ofControl.filter((activity) => matrix.tried('control', activity) < turns.length)).toEqual([]);
      // While a host is at work, control is the same at all points: one of each, a third of them in each turn; what has one run alone is left out.
      const once = ofTheHost.filter((activity) => !['restoreCertificate', 'strandCertificate'].includes(activity));
      if (triesEverything) expect(once.filter((activity) => matrix.tried('control', activity) === 0)).toEqual([]);
    });
  });

  test('a switch that is cancelled in the middle: the old pair is back and served', async () => {
    const old = await bed.activePem();
    let runId = '';
    bed.stack.decide(async ({ activity, direction, point }): Promise<Verdict> => {
      if (activity !== 'testRouter' || direction !== 'do' || point !== 'before') return 'go';
      expect(await bed.activePem()).not.toBe(old);
      expect((await bed.stack.fairlead('runs', 'cancel', runId, '--reason', 'a test')).exitCode).toBe(0);
      return 'go';
    });
    ({ runId } = await bed.post('renew', { force: true, reason: 'a test' }));
    const report = await ended(runId);
    expect([report.outcome, report.reason?.code]).toEqual(['cancelled', 'cancelled']);
    expect(report.steps.filter(({ direction }) => direction === 'undo').map(({ name, outcome }) => [name, outcome])).toEqual([['restore', 'done'], ['reload', 'done'], ['prove', 'done'], ['close-intent', 'done']]);
    expect(await bed.activePem()).toBe(old);
    await expectServed();
  }, limitMs);

  test("the host's clock is 40 days ahead, where nobody tells it so: a pair of the company's CA is due early, and switched", async () => {
    const authority = await createTestAuthority('Company');
    const directory = join(bed.stack.dir, 'from-the-company');
    const rootsFile = join(bed.stack.dir, 'company-roots.pem');
    await fs.writeFile(rootsFile, authority.root);
    const deliver = async (toDays: number) => {
      const pair = await authority.issue({ names, toDays });
      await stagePair(join(directory, names[0] as string), pair);
      return pair.fingerprint;
    };
    const fingerprint = async () => readCertificateFacts(await bed.activePem(), []).fingerprintSha256;
    const first = await deliver(55);
    expect(brief(await ended((await bed.post('issue', { names, issuer: { kind: 'directory', rootsFile, directory }, originPort: null, force: true, reason: 'a test' })).runId))).toEqual(['succeeded', null]);
    expect(await fingerprint()).toBe(first);
    const second = await deliver(89);
    expect(brief(await ended((await bed.post('renew')).runId))).toEqual(['unchanged', null]);
    await fs.writeFile(bed.clockFile, String(40 * 24 * 3_600_000));
    try {
      const { runId } = await bed.post('renew');
      expect(brief(await ended(runId))).toEqual(['succeeded', null]);
      const { rows } = (await bed.stack.ask<{ rows: { event: string; runId: string; detail: { because?: string } }[] }>('GET', '/api/audit?limit=200')).body;
      expect(rows.find((row) => row.event === 'run.intended' && row.runId === runId)?.detail.because).toBe('one_third_left');
    } finally {
      await fs.rm(bed.clockFile);
    }
    expect(await fingerprint()).toBe(second);
    await expectServed();
  }, limitMs);

  test('throughout no handshake failed, and the schedule that was paused by hand stayed so while control was started again and again', async () => {
    const seen = await (watch as ReturnType<typeof watchHandshakes>).stop();
    expect(seen.failed).toEqual([]);
    expect(seen.count).toBeGreaterThan(100);
    expect([...matrix.killed].some((key) => key.startsWith('control '))).toBe(true);
    const { state, info } = await schedule.describe();
    expect([state.paused, state.note, info.numActionsTaken]).toEqual([true, 'by hand', sweptBefore]);
    expect(info.lastUpdatedAt?.getTime()).toBeGreaterThan(pausedAt);
  }, limitMs);
});
