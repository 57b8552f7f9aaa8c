import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { createTlsProbe } from '../../src/adapters/tls-probe/node.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { controlTaskQueue } from '../../src/domain/ids.ts';
import { certificateSweepWorkflow } from '../../src/domain/run/names.ts';
import { isFinalize } from '../support/ca-faults.ts';
import { watchHandshakes } from '../support/certificate-bed.ts';
import { createCertificateMatrix, issuing, leftovers, ofDistributing, ofOpening, ofOrdering, ofPromotingControl, ofTheHost, unspent, type CertificateMatrix } from '../support/certificate-matrix.ts';
import { points, type Checkpoint, type Verdict } from '../support/checkpoints.ts';
import { certificateActivities } from '../support/matrix.ts';
import { pebbleIsThere } from '../support/pebble.ts';
import { describeWith, triesEverything } from '../support/requirement.ts';
import { createSharedCertificateBed, promotedHost, sharedNames as names, sharingHosts as hosts, startPromotedHost, type PromotedHost, type SharedCertificateBed } from '../support/shared-certificate-bed.ts';
import { keysOf, placesOf } from '../support/shared-certificate-secrets.ts';

const limitMs = 480_000;
/** Elsewhere than on a machine that is there for testing each activity is tried at one of the points. */
const turns = triesEverything ? points.map((_, turn) => turn) : [0];
const pointsOfOwn = triesEverything ? points.length : 1;
/** Of what renewals have: what only the host has that orders, and what only one has that is stranded or goes back. */
const withoutDelivery = [...issuing.filter((activity) => activity !== 'forgetOrder'), 'checkPublicOrigin', 'strandCertificate'];
/** Of those, what a promotion has of its own certificate: got once; served, and served no more, in every turn; and kept in the one that ends well. A renewal prunes. */
const inSuccessAlone = ['commitCertificate', 'lookAtCertificate', 'forgetOrder'];
const ofObtaining = issuing.filter((activity) => activity !== 'forgetOrder');
const ofServing = certificateActivities.filter((activity) => ![...ofObtaining, ...inSuccessAlone, 'checkPublicOrigin', 'armCertificateRecovery', 'strandCertificate', 'pruneCertificates'].includes(activity));

describeWith([pebbleIsThere], 'one certificate on three hosts of a whole Fairlead, and a promotion of a fourth that gets its own', () => {
  let bed: SharedCertificateBed;
  /** Every private key that any host has had at the end of a test. */
  const keys = new Set<string>();

  beforeAll(async () => {
    bed = await createSharedCertificateBed();
  }, limitMs);
  afterEach(async () => {
    bed?.stack.decide(() => 'go');
    for (const host of bed === undefined ? [] : hosts) for (const key of await keysOf(bed, host)) keys.add(key);
  });
  afterAll(() => bed?.end(), limitMs);

  const served = (host: string) => bed.served(host);
  const servedByAll = () => Promise.all(hosts.map(served));
  const failsAfter = (at: Checkpoint, activity: string, host: string): boolean => at.activity === activity && at.host === host && at.direction === 'do' && at.point === 'after';
  /** What runs that have ended should not have left on the hosts that share the certificate. */
  const left = async () => (await Promise.all(hosts.map(async (host) => [...(await leftovers(bed.stack, host, names[0] as string)), ...(await unspent(bed.stack, host))].map((what) => `${host}: ${what}`)))).flat();

  test('one order, and every host serves the same certificate: the first one, another one, and then the rest', async () => {
    const { stack } = bed;
    const taken: string[] = [];
    stack.decide(({ activity, host, point }): Verdict => {
      if (activity === 'openSealedCertificate' && point === 'before') taken.push(`open ${host}`);
      if (activity === 'commitCertificate' && point === 'before') taken.push(`commit ${host}`);
      return 'go';
    });
    const issue = () => stack.fairlead('cert', 'issue', '--host', 'h1', '--host', 'h2', '--host', 'h3', '--product', stack.product, '--names', names.join(','), '--issuer', `${bed.acme.url}/dir`, '--contact', 'ops@example.org', '--ca-bundle', bed.pebble.caBundleFile, '--roots', join(bed.dir, 'issued-roots.pem'), '--no-origin-check');
    const ended = await bed.distributed(async () => {
      const asked = await issue();
      expect([asked.exitCode, asked.stderr]).toEqual([0, expect.stringMatching(/h2: serves[\s\S]*h3: serves/)]);
      const [first] = await served('h1');
      expect(await servedByAll()).toEqual([[first], [first], [first]]);
    });
    expect(ended).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    expect(bed.orders()).toBe(1);
    expect(taken).toEqual(['commit h1', 'open h2', 'commit h2', 'open h3', 'commit h3']);
    expect((await bed.status()).map(({ host, alsoOn, orderedBy }) => [host, alsoOn, orderedBy])).toEqual([['h1', ['h2', 'h3'], null], ['h2', [], 'h1'], ['h3', [], 'h1']]);
    // What was opened does not stay beside the pair that is served.
    expect(await left()).toEqual([]);
    const shown = (await stack.fairlead('nodes', 'show', 'h2')).stdout;
    const intended = await bed.audited<{ recipients?: { host: string; key: string }[] }>('certificate.sealing_intended');
    const key = intended.flatMap(({ detail }) => detail.recipients ?? []).find(({ host }) => host === 'h2')?.key as string;
    expect(shown).toContain(key);
    expect((await bed.audited<{ now?: string }>('host.sealing_key_told')).some(({ detail }) => detail.now === key)).toBe(true);
  }, limitMs);

  test('a renewal of the first one is one more order, and brings the new one to all; a receiving host is not renewed by itself', async () => {
    const [before] = await served('h2');
    const ordered = bed.orders();
    const refused = await bed.stack.ask<{ code: string }>('POST', '/api/certificates/renew', { host: 'h2', product: bed.stack.product });
    expect([refused.status, refused.body.code]).toEqual([400, 'certificate_ordered_elsewhere']);
    expect(await bed.distributed(bed.renewal)).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    const [now] = await served('h1');
    expect([now === before, ...(await servedByAll())]).toEqual([false, [now], [now], [now]]);
    expect(bed.orders() - ordered).toBe(1);
  }, limitMs);

  test('the first host of a wave that cannot prove it goes back to its old one, and the rest is held back; the next time it comes to all', async () => {
    const [old] = await served('h2');
    const ordered = bed.orders();
    bed.stack.decide((at): Verdict => (failsAfter(at, 'proveServed', 'h2') ? 'fail' : 'go'));
    expect(await bed.distributed(bed.renewal)).toEqual([['h2', 'rolled_back', expect.any(String)], ['h3', 'held_back', 'certificate_held_back']]);
    const [now] = await served('h1');
    expect([now === old, ...(await servedByAll())]).toEqual([false, [now], [old], [old]]);
    expect((await bed.status()).map(({ host, status: { lastTry, nextTryAt } }) => [host, lastTry?.succeeded, nextTryAt !== null])).toEqual([['h1', true, false], ['h2', false, true], ['h3', false, true]]);
    // Nor does what was opened and not taken into use.
    expect(await left()).toEqual([]);
    bed.stack.decide(() => 'go');
    // Nothing is due, so that nothing is ordered.
    expect(await bed.distributed(() => bed.renewal('unchanged', false))).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
    expect([await servedByAll(), bed.orders() - ordered]).toEqual([[[now], [now], [now]], 1]);
  }, limitMs);

  test('a host of the rest that cannot prove it keeps its old one, and the others have the new one', async () => {
    const [old] = await served('h3');
    bed.stack.decide((at): Verdict => (failsAfter(at, 'proveServed', 'h3') ? 'fail' : 'go'));
    expect(await bed.distributed(bed.renewal)).toEqual([['h2', 'succeeded', null], ['h3', 'rolled_back', expect.any(String)]]);
    const [now] = await served('h1');
    expect(await servedByAll()).toEqual([[now], [now], [old]]);
    // Once its next try is due, the sweep sees that it has another one than the host that orders for it.
    bed.stack.decide(() => 'go');
    await bed.withDatabase((client) => client.query("update certificates set next_try_at = now() where host = 'h3'"));
    const sweep = async (): Promise<void> => {
      const swept = await bed.withTemporal(({ workflow }) => workflow.execute(certificateSweepWorkflow, { workflowId: 'sweep', taskQueue: controlTaskQueue, args: [] }));
      expect(swept).toMatchObject({ looked: 3, started: [`h3/${bed.stack.product}`], away: [] });
    };
    expect(await bed.distributed(sweep)).toEqual([['h2', 'unchanged', null], ['h3', 'succeeded', null]]);
    expect(await served('h3')).toEqual([now]);
  }, limitMs);

  test('an ordering host that has pinned keys seals for nobody else: the others keep theirs, and the audit says why', async () => {
    const [old] = await served('h2');
    const { sealingPeersFile } = agentLayout(bed.rootOf('h1'));
    await fs.writeFile(sealingPeersFile, `h2 ${'A'.repeat(43)}\n`);
    expect(await bed.distributed(bed.renewal)).toEqual([['h2', 'refused', 'sealing_peer_unknown'], ['h3', 'held_back', 'certificate_held_back']]);
    expect(await served('h2')).toEqual([old]);
    await fs.rm(sealingPeersFile);
  }, limitMs);

  describe('somebody is killed', () => {
    const own = [...ofOrdering, ...ofOpening];
    let matrix: CertificateMatrix;
    beforeAll(() => {
      // What a delivery forgets is not an order, but what was opened: a thing of its own.
      const atAllPoints = triesEverything ? [...own, 'forgetOrder', ...ofDistributing] : [];
      matrix = createCertificateMatrix(bed.stack, { hosts: ['h2', 'h3'], certificate: names[0] as string, ofTheHost: [...ofTheHost, ...own], ofControl: ofDistributing, atAllPoints, besides: triesEverything ? own : [], turns: 1 });
    });
    afterAll(() => matrix?.end(), limitMs);

    /** Guarantees 7 and 9. */
    test('at every activity of a distribution in turn: all serve the new one, which was ordered once and sealed once for each wave, and no handshake failed', async () => {
      const [[old], ordered, sealings] = [await served('h2'), bed.orders(), (await bed.audited('certificate.sealing_intended')).length];
      const watch = watchHandshakes([...(await bed.targets('h2')), ...(await bed.targets('h3'))]);
      matrix.turn(0, ({ host, activity }) => (host === 'h1' ? ofOrdering.includes(activity) : !ofOrdering.includes(activity)));
      const ended = await bed.distributed(bed.renewal).finally(() => matrix.calm());
      expect([ended, matrix.broken]).toEqual([[['h2', 'succeeded', null], ['h3', 'succeeded', null]], []]);
      const [now] = await served('h1');
      expect([now === old, ...(await servedByAll()), bed.orders() - ordered]).toEqual([false, [now], [now], [now], 1]);
      const seen = await watch.stop();
      expect([seen.failed, [...new Set(Object.values(seen.seen).flat())].sort(), await left()]).toEqual([[], [old, now].sort(), []]);
      expect((await bed.audited('certificate.sealing_intended')).length - sealings).toBe(2);
    }, limitMs);

    test('on the way back of the first host: its old one is back and served, the rest is held back, and what was opened is gone', async () => {
      const [old] = await served('h2');
      matrix.turn(1, ({ host, activity, direction }) => host === 'h2' && (direction === 'undo' || activity === 'forgetOrder'), (at) => failsAfter(at, 'proveServed', 'h2'));
      const ended = await bed.distributed(bed.renewal).finally(() => matrix.calm());
      expect([ended, matrix.broken]).toEqual([[['h2', 'rolled_back', expect.any(String)], ['h3', 'held_back', 'certificate_held_back']], []]);
      expect([(await servedByAll()).slice(1), await left()]).toEqual([[[old], [old]], []]);
      expect(await bed.distributed(() => bed.renewal('unchanged', false))).toEqual([['h2', 'succeeded', null], ['h3', 'succeeded', null]]);
      const [now] = await served('h1');
      expect([now === old, ...(await servedByAll()), await left()]).toEqual([false, [now], [now], [now], []]);
    }, limitMs);

    test('at everything that only distributions have somebody was, before, during and after its effect', () => {
      expect([...own, 'forgetOrder'].filter((activity) => matrix.tried('agent', activity) < pointsOfOwn)).toEqual([]);
      expect(ofDistributing.filter((activity) => matrix.tried('control', activity) < pointsOfOwn)).toEqual([]);
      if (triesEverything) expect(own.filter((activity) => matrix.tried('control', activity) === 0)).toEqual([]);
      // The rest of a delivery is that of a renewal, which has a matrix of its own.
      const notInIt = ofTheHost.filter((activity) => matrix.tried('agent', activity) === 0);
      expect(notInIt.sort()).toEqual(withoutDelivery.toSorted());
    });
  });

  describe('a promotion with a certificate', () => {
    const name = 'shop.example.org';
    let matrix: CertificateMatrix;
    let promoted: PromotedHost;
    const state = () => bed.stack.state(promotedHost);
    const certificate = () => ({ names: [name], issuer: bed.issuer(), originPort: null });
    const finalized = () => bed.acme.count((seen) => isFinalize(seen) && seen.status === 200);
    const inSuccess = [...inSuccessAlone, ...ofPromotingControl];
    beforeAll(async () => {
      promoted = await startPromotedHost(bed, name);
      const [atAllPoints, besides] = triesEverything ? [inSuccess, ofServing] : [[], []];
      matrix = createCertificateMatrix(bed.stack, { hosts: [promotedHost], certificate: name, ofTheHost: [...ofObtaining, ...ofServing, ...inSuccessAlone], ofControl: ofPromotingControl, atAllPoints, besides, turns: points.length });
    }, limitMs);
    afterAll(async () => {
      await matrix?.end();
      promoted?.end();
    }, limitMs);

    test('--plan shows the steps about it that the run then takes, and whose it would be; nothing is ordered', async () => {
      const ordered = bed.orders();
      const { exitCode, stdout } = await bed.stack.fairlead('promote', '--host', promotedHost, '--plan', '--tls', '--names', name, '--issuer', `${bed.acme.url}/dir`, '--no-origin-check');
      expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/With a certificate for shop\.example\.org, by \S+, proven by http-01/)]);
      expect(stdout.split('\n').flatMap((line) => /^ +\d+ {2}([a-z]+-certificate.*)$/.exec(line)?.[1] ?? [])).toEqual([expect.stringMatching(/^obtain-certificate: order, .*, download$/), 'serve-certificate', 'commit-certificate', 'keep-certificate']);
      expect([bed.orders() - ordered, (await state()).phase]).toEqual([0, 'setup']);
    }, limitMs);

    test.each(turns)('somebody is killed at every step about it, and the installed phase is not healthy (turn %i): back to the set-up over plain HTTP as before, and no TLS', async (turn) => {
      const [ordered, final] = [bed.orders(), finalized()];
      const tls: (number | undefined)[] = [];
      // What was got stays for the next turn.
      matrix.turn(turn, ({ activity }) => turn === 0 || !ofObtaining.includes(activity), async (at) => {
        if (!failsAfter(at, 'verifyHealth', promotedHost)) return false;
        tls.push((await state()).tls?.ports[0]);
        return true;
      });
      const report = await bed.stack.promote(promotedHost, { certificate: certificate() }).finally(() => matrix.calm());
      expect([report.outcome, report.reason?.code, matrix.broken]).toEqual(['rolled_back', 'injected', []]);
      expect(report.steps.filter(({ direction, outcome }) => direction === 'undo' && outcome === 'done').map((step) => step.name)).toEqual(expect.arrayContaining(['restore-certificate', 'verify-health']));
      expect([bed.orders() - ordered, finalized() - final]).toEqual(turn === 0 ? [1, 1] : [0, 0]);
      expect([tls.at(-1), (await state()).tls ?? null, (await state()).phase, await leftovers(bed.stack, promotedHost, name)]).toEqual([expect.any(Number), null, 'setup', []]);
      expect(await promoted.plain()).toEqual([200, '']);
      const { error } = await createTlsProbe().handshake({ address: '127.0.0.1', port: tls.at(-1) as number, name });
      expect(error).not.toBe(null);
    }, limitMs);

    test('it is got over the plain HTTP of the set-up, with the order from before, and somebody is killed where it is kept; the installed phase is served over TLS, and plain HTTP is redirected', async () => {
      const before = bed.orders();
      matrix.turn(0, ({ activity }) => inSuccess.includes(activity));
      const report = await bed.stack.promote(promotedHost, { certificate: certificate() }).finally(() => matrix.calm());
      expect([report.outcome, report.reason, matrix.broken]).toEqual(['succeeded', null, []]);
      const { phase, tls } = await state();
      expect([phase, tls?.names, tls?.proven, bed.orders() - before]).toEqual(['installed', [name], true, 0]);
      const shown = await createTlsProbe().handshake({ address: '127.0.0.1', port: tls?.ports[0] as number, name });
      expect([shown.error, shown.chain.length > 0]).toEqual([null, true]);
      expect(await promoted.plain()).toEqual([308, expect.stringMatching(/^https:\/\/shop\.example\.org/)]);
      expect([await leftovers(bed.stack, promotedHost, name), await unspent(bed.stack, promotedHost)]).toEqual([[], []]);
      expect((await bed.status()).find(({ host }) => host === promotedHost)).toMatchObject({ issuerName: 'pebble', status: { state: 'valid', names: [name], lastTry: { succeeded: true }, plan: { because: 'ari' } } });
      expect((await bed.stack.promote(promotedHost, { certificate: certificate() })).outcome).toBe('unchanged');
    }, limitMs);

    test('at every activity about it somebody was, before, during and after its effect', () => {
      expect(ofObtaining.filter((activity) => matrix.tried('agent', activity) === 0)).toEqual([]);
      expect(ofServing.filter((activity) => matrix.tried('agent', activity) < turns.length)).toEqual([]);
      if (triesEverything) expect(ofServing.filter((activity) => matrix.tried('control', activity) === 0)).toEqual([]);
      expect(inSuccess.filter((activity) => Math.max(matrix.tried('agent', activity), matrix.tried('control', activity)) < pointsOfOwn)).toEqual([]);
    });
  });

  test('no private key, of a certificate or for sealing, stands in a history, in the database, in a log or in an answer', async () => {
    const secrets = [...keys].flatMap((text) => text.split('\n').filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line)));
    expect(new Set(secrets).size).toBeGreaterThan(12);
    // The bytes in every way that JSON and PEM would write them.
    const needles = [...new Set(secrets.flatMap((line) => [line, line.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''), Buffer.from(line, 'base64').toString('hex')]))];
    const { texts, home } = await placesOf(bed);
    expect(texts.filter(([where, text]) => where.includes('certificate/h') && text.includes('fairlead-seal-1')).length).toBeGreaterThan(6);
    expect(texts.some(([where]) => where.includes('certificate-distribution/h1'))).toBe(true);
    expect(texts.find(([where]) => where === 'table certificates')?.[1]).toContain('orderedBy');
    expect(texts.some(([where]) => where.endsWith('.log'))).toBe(true);
    // Each of them would be found where it may stand.
    expect(secrets.some((secret) => home.includes(secret))).toBe(true);
    expect(texts.filter(([, text]) => needles.some((needle) => text.includes(needle))).map(([where]) => where)).toEqual([]);
  }, limitMs);
});
