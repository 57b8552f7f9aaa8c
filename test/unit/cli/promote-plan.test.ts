import type { UpdatePlanAnswer } from '../../../src/contract/index.ts';
import { command } from '../../support/command-line.ts';
import { startFakeApi } from '../../support/fake-api.ts';

const steps = ['open-intent', 'check-setup', 'obtain-certificate', 'backup', 'serve-certificate', 'commit-certificate', 'commit', 'keep-certificate', 'close-intent'].map((name) => ({ name }));
const plan = { kind: 'promotion', strategy: 'blue-green', phaseBefore: 'setup', phase: 'installed', fromReleaseId: 'r1', toReleaseId: 'r1', instancesBefore: [], instancesAfter: [], steps, warnings: ['nobody is asked'] };
const certificate = { names: ['app.example.org', 'api.example.org'], issuer: 'letsencrypt', challenge: 'http-01', obtaining: ['order', 'finalize', 'download'] };
const answer = { host: 'h1', product: 'lab', decision: 'apply', plan, activeReleaseId: 'r1', certificate, reason: null, observedAt: '2026-11-21T03:00:00.000Z' } as unknown as UpdatePlanAnswer;

async function promote(...argv: readonly string[]) {
  const api = await startFakeApi({ 'POST /api/promotions/plan': { status: 200, json: answer } });
  try {
    const result = await command(['promote', '--host', 'h1', '--product', 'lab', ...argv], { env: { FAIRLEAD_API_URL: api.url, FAIRLEAD_API_KEY: 'fl_admin_secret' } });
    return { ...result, asked: api.seen.map(({ body }) => JSON.parse(body) as object) };
  } finally {
    await api.stop();
  }
}

test('--plan --tls asks with the certificate that the promotion would ask for, and shows its steps', async () => {
  const { code, out, asked } = await promote('--plan', '--tls', '--names', 'app.example.org,api.example.org', '--issuer', 'letsencrypt', '--no-origin-check');
  expect([code, asked]).toEqual([0, [{ host: 'h1', product: 'lab', certificate: { names: ['app.example.org', 'api.example.org'], issuer: expect.objectContaining({ kind: 'acme', name: 'letsencrypt' }), originPort: null } }]]);
  expect(out).toBe(`WOULD PROMOTE  lab r1 on h1: phase setup -> installed
With a certificate for app.example.org, api.example.org, by letsencrypt, proven by http-01
! nobody is asked

   1  open-intent
   2  check-setup
   3  obtain-certificate: order, finalize, download
   4  backup
   5  serve-certificate
   6  commit-certificate
   7  commit
   8  keep-certificate
   9  close-intent

As the host told at 2026-11-21T03:00:00.000Z; a run looks again before it acts.
`);
});

test('--plan without --tls asks without one; options about it are then refused with 64, and nothing is asked', async () => {
  expect((await promote('--plan')).asked).toEqual([{ host: 'h1', product: 'lab' }]);
  const { code, asked } = await promote('--plan', '--names', 'app.example.org');
  expect([code, asked]).toEqual([64, []]);
});
