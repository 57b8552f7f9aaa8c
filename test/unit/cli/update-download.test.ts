import type { UpdateDownload } from '../../../src/contract/index.ts';
import { command } from '../../support/command-line.ts';
import { startFakeApi } from '../../support/fake-api.ts';

const sha256 = 'a'.repeat(64);
const statusPath = '/api/updates/status?host=h1&product=lab';
const accepted = { host: 'h1', product: 'lab', releaseId: 'r2', sha256, sizeBytes: 1_000, verified: true, signedBy: null, signedByTrusted: null, artifact: `/api/artifacts/${sha256}`, transfer: { workflowId: 'prefetch/h1/lab', joined: false, replaced: null, links: { status: statusPath, temporalUi: null } } };
const standing = (more: Partial<UpdateDownload>): UpdateDownload =>
  ({ workflowId: 'prefetch/h1/lab', releaseId: 'r2', sha256, sizeBytes: 1_000, requestedBy: 'ci (admin)', requestedAt: '2026-11-21T03:00:00.000Z', endedAt: null, state: 'running', progress: null, waiting: null, reason: null, ...more }) as UpdateDownload;

let stop: (() => Promise<void>) | undefined;
afterEach(() => stop?.());

/** The status says one of `standings` after the other, and the last one for good; null is an API that is away. */
async function download(standings: readonly (UpdateDownload | null)[], ...argv: string[]) {
  let looks = 0;
  const api = await startFakeApi({
    'POST /api/updates/download': { status: 202, json: accepted },
    [`GET ${statusPath}`]: () => {
      const said = standings[Math.min(looks++, standings.length - 1)]!;
      return said === null ? 'hang up' : { status: 200, json: { download: said } };
    },
  });
  stop = api.stop;
  return { ...(await command(['update', 'download', 'r2', '--host', 'h1', '--product', 'lab', ...argv], { env: { FAIRLEAD_API_URL: api.url, FAIRLEAD_API_KEY: 'fl_admin_secret' } })), seen: api.seen };
}

test('followed until it is there: what it waits for, how far it is, exit code 0, and what to type next', async () => {
  const waiting = { for: 'host h1 to take it up', since: '2026-11-21T03:00:00.000Z', until: '2026-11-22T03:00:00.000Z', release: 'the host' };
  const { code, out, notes, seen } = await download([standing({ state: 'waiting', waiting }), standing({ progress: { what: 'bytes downloaded', done: 456, total: 1_000 } }), standing({ state: 'fetched', endedAt: '2026-11-21T03:01:00.000Z' })]);
  expect([code, out]).toEqual([0, 'lab r2 is on h1, verified\n']);
  for (const part of ['waits for host h1 to take it up, until 2026-11-22', 'bytes downloaded: 40 %', 'fairlead update apply r2 --host h1 --product lab']) expect(notes).toContain(part);
  expect(JSON.parse(seen[0]!.body)).toEqual({ host: 'h1', product: 'lab', releaseId: 'r2' });
});

test.each<[string, readonly UpdateDownload[], string[], number, string]>([
  ['it failed: 1, with why', [standing({ state: 'failed', reason: { class: 'host', code: 'disk_full', message: 'no room on h1', hint: 'Make room.' } })], [], 1, 'no room on h1'],
  ['another bundle took its place: 1', [standing({ releaseId: 'r3' as never, sha256: 'b'.repeat(64) as never })], [], 1, 'somebody asked for r3 instead'],
  ['not there in time: 8, and how to come back', [standing({})], ['--timeout', '0.2'], 8, 'fairlead update download r2 --host h1 --product lab'],
])('%s', async (_name, standings, argv, code, told) => {
  const result = await download(standings, ...argv);
  expect([result.code, result.out]).toEqual([code, '']);
  expect(`${result.notes}`).toContain(told);
});

test('the API is away for longer than a request is repeated: it is asked again, and the end is told', async () => {
  const { code, notes } = await download([null, null, null, standing({ state: 'fetched', endedAt: '2026-11-21T03:01:00.000Z' })]);
  expect([code, notes]).toEqual([0, expect.stringContaining('the download goes on without it, trying again')]);
});

test('--cancel: ends what is on its way, and says how to go on; where nothing is, it says so', async () => {
  const api = await startFakeApi({ 'DELETE /api/updates/download?host=h1&product=lab': { status: 202, json: { host: 'h1', product: 'lab', state: 'requested', releaseId: 'r2' } }, 'DELETE /api/updates/download?host=h2&product=lab': { status: 200, json: { host: 'h2', product: 'lab', state: 'not_under_way', releaseId: null } } });
  stop = api.stop;
  const cancel = (host: string) => command(['update', 'download', '--cancel', '--host', host, '--product', 'lab'], { env: { FAIRLEAD_API_URL: api.url, FAIRLEAD_API_KEY: 'fl_admin_secret' } });
  expect(await cancel('h1')).toEqual({ code: 0, out: 'lab r2 is no longer brought to h1\n', notes: expect.stringContaining('fairlead update download r2 --host h1 --product lab') });
  expect(await cancel('h2')).toEqual({ code: 0, out: '', notes: 'nothing of lab is on its way to h2' });
});

test('--json: exactly how it ended; --detach: what was accepted, and nobody looks', async () => {
  const ended = standing({ state: 'fetched', endedAt: '2026-11-21T03:01:00.000Z' });
  expect(JSON.parse((await download([ended], '--json')).out)).toEqual(ended);
  await stop?.();
  const { code, out, seen } = await download([ended], '--detach', '--json');
  expect([code, JSON.parse(out), seen.length]).toEqual([0, accepted, 1]);
});
