import type { ReleaseDetail, RolloutPlanAnswer } from '../../../src/contract/index.ts';
import { command } from '../../support/command-line.ts';
import { startFakeApi, type Answer } from '../../support/fake-api.ts';

type Routes = Parameters<typeof startFakeApi>[0];
let stop: (() => Promise<void>) | null = null;
afterEach(async () => {
  await stop?.();
  stop = null;
});

const planned = (host: string, artifactRole: 'controller' | 'node') => ({ host, role: artifactRole, artifactRole, fromReleaseId: 'f1', toReleaseId: 'f2', action: 'update', wave: 1, position: 0, why: null });
const plan = { decision: 'plan', reason: null, product: 'fairlead', toReleaseId: 'f2', waves: [{ number: 0, role: 'controller', hosts: [planned('c1', 'controller')] }, { number: 1, role: 'node', hosts: [planned('n1', 'node')] }] } as unknown as RolloutPlanAnswer;
const detail = (...roles: string[]) => ({ product: 'fairlead', releaseId: 'f2', artifacts: roles.map((role) => ({ role })) }) as unknown as ReleaseDetail;
const rollout = (outcome: string, ok: boolean) => ({ rolloutId: 'ro-1', product: 'fairlead', releaseId: 'f2', outcome, ok, reason: null, endedAt: '2026-11-21T03:00:00.000Z' });

async function update(argv: readonly string[], { roles = ['controller', 'node'], ended = rollout('succeeded', true) } = {}) {
  const routes: Routes = {
    'GET /api/releases?product=fairlead&limit=200': { status: 200, json: { releases: [{ product: 'fairlead', releaseId: 'f2' }], nextBefore: null } },
    'GET /api/releases/fairlead/f2': { status: 200, json: detail(...roles) },
    'POST /api/rollouts/plan': { status: 200, json: plan },
    'POST /api/rollouts': { status: 202, json: { rolloutId: 'ro-1', workflowId: 'rollout/ro-1', product: 'fairlead', releaseId: 'f2', links: { temporalUi: null } } },
    'GET /api/rollouts/ro-1': { status: 200, json: ended },
    'GET /api/rollouts/ro-1/events': { stream: (response) => void response.end('id: 1\nevent: run_ended\ndata: {"runId":"ro-1","sequence":1,"at":"2026-11-21T03:00:00.000Z","kind":"run_ended","step":null,"message":"ended","data":{}}\n\n') } as Answer,
    'GET /api/rollouts/ro-1/hosts?limit=1000': { status: 200, json: { hosts: [], nextAfter: null } },
  };
  const api = await startFakeApi(routes);
  stop = () => api.stop();
  const result = await command(['nodes', 'update', ...argv], { env: { FAIRLEAD_API_URL: api.url, FAIRLEAD_API_KEY: 'fl_admin_secret' } });
  return { ...result, asked: api.seen.filter(({ method }) => method === 'POST').map(({ path, body }) => ({ path, body: JSON.parse(body) as { hosts?: string[]; releaseId: string; product: string } })) };
}

test('--all takes the newest release of Fairlead to every host that has it, and ends with the result', async () => {
  const { code, out, asked } = await update(['--all', '--json']);
  expect(asked.at(-1)).toMatchObject({ path: '/api/rollouts', body: { product: 'fairlead', releaseId: 'f2' } });
  expect(asked.at(-1)!.body.hosts).toBeUndefined();
  expect([JSON.parse(out), code]).toEqual([expect.objectContaining({ ok: true, releaseId: 'f2', hosts: [] }), 0]);
});

test('hosts that are named are the scope', async () => {
  expect((await update(['n1', '--hosts', 'c1'])).asked.at(-1)!.body.hosts).toEqual(['c1', 'n1']);
});

test('the release has no artifact for a role in scope: refused with 3 and its hosts, and nothing is started', async () => {
  const { code, notes, asked } = await update(['--all'], { roles: ['node'] });
  expect([code, notes]).toEqual([3, expect.stringMatching(/no artifact for controller, which c1 need/)]);
  expect(asked.map(({ path }) => path)).toEqual(['/api/rollouts/plan']);
});

test.each([
  ['succeeded', 1],
  ['partial', 1],
  ['rolled_back', 5],
])('one host was not observed on the release (outcome %s): ok is false, and the exit code %i says so', async (outcome, wanted) => {
  const { code, out } = await update(['--all', '--json'], { ended: rollout(outcome, false) });
  expect([code, (JSON.parse(out) as { ok: boolean }).ok]).toEqual([wanted, false]);
});

test.each([[[]], [['--all', 'n1']], [['--all', '--build', '--release', 'f2']], [['--all', 'not-there.tar.zst']]])('%j: refused with 64, and nothing is started', async (argv) => {
  const { code, asked } = await update(argv);
  expect([code, asked]).toEqual([64, []]);
});
