import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostLayout } from '../../../../src/domain/host/layout.ts';
import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { quoteForShell } from '../../../../src/domain/shell-word.ts';
import { renderRecoveryScript, type RecoveryScriptInput } from '../../../../src/domain/recovery/script.ts';
import { sampleState } from '../../../support/host-samples.ts';

const product = 'shop' as ProductName;
const runId = '01934e4f-6f5f-7c3a-9a53-1c1f6c0d8a10' as RunId;
const awkward = `a b'c"d$(touch hacked)\`touch hacked\`;touch hacked&*\\e`;

let work: string;
beforeEach(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-script-'));
});
afterEach(() => fs.rm(work, { recursive: true, force: true }));

/** A host below `root` that was switched to r2, with the intent still there. */
async function strandedHost(root: string) {
  const layout = hostLayout(root, product);
  for (const directory of [layout.releaseDir('r1' as ReleaseId), layout.releaseDir('r2' as ReleaseId), layout.recoveryDir, layout.configDir]) await fs.mkdir(directory, { recursive: true });
  await fs.writeFile(join(layout.releaseDir('r1' as ReleaseId), '.fairlead-complete.json'), '{}');
  await fs.symlink('releases/r2', layout.currentLink);
  await fs.writeFile(layout.stateFile, '{"schema":1}');
  await fs.writeFile(layout.intentFile, '{}');
  return layout;
}

const inputFor = (root: string, change: Partial<RecoveryScriptInput> = {}): RecoveryScriptInput => ({
  host: 'h1' as HostId,
  product,
  runId,
  writtenAt: '2026-11-21T03:00:00.000Z',
  layout: hostLayout(root, product),
  lastGoodReleaseId: 'r1' as ReleaseId,
  attemptedReleaseId: 'r2' as ReleaseId,
  backupPath: hostLayout(root, product).backupDir(runId),
  restoreData: [],
  start: [{ instance: 'api-a' as InstanceName, lines: ['started=yes'], readyUrl: null }],
  stop: [{ instance: 'api-new' as InstanceName, lines: ['stopped=yes'] }],
  router: [':'],
  stateAfter: sampleState(),
  ...change,
});

/** As on a host where nothing but the system's own tools is found. */
function runScript(script: string, cwd = work) {
  const file = join(work, 'recover.sh');
  return fs.writeFile(file, script).then(() => {
    const parsed = spawnSync('sh', ['-n', file], { encoding: 'utf8' });
    expect([parsed.status, parsed.stderr]).toEqual([0, '']);
    return spawnSync('env', ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'sh', file], { encoding: 'utf8', cwd });
  });
}

test.each([['a plain path', 'host'], ['a path of spaces, quotes and substitutions', awkward]])('switches back, writes the state and the mark, takes the intent away, and may be run again (%s)', async (_how, name) => {
  const root = join(work, name);
  const layout = await strandedHost(root);
  const script = renderRecoveryScript(inputFor(root, { restoreData: [`say ${quoteForShell(awkward)}`] }));
  for (const _round of [1, 2]) {
    const { status, stdout, stderr } = await runScript(script);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${awkward}\n`);
    expect(stdout).toContain('shop is back on release r1.');
    expect(await fs.readlink(layout.currentLink)).toBe('releases/r1');
    expect(JSON.parse(await fs.readFile(layout.stateFile, 'utf8'))).toEqual(sampleState());
    expect(((await fs.stat(layout.stateFile)).mode & 0o777).toString(8)).toBe('600');
    expect(JSON.parse(await fs.readFile(join(layout.recoveryDir, `${runId}.recovered.json`), 'utf8'))).toMatchObject({ schema: 1, runId, at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]+Z$/), detail: { by: 'recovery script', releaseId: 'r1' } });
    expect(await fs.stat(layout.intentFile).catch(() => null)).toBeNull();
  }
  expect(await fs.readdir(work)).not.toContain('hacked');
});

test('nothing was installed before: `current` and the state are taken away', async () => {
  const root = join(work, awkward);
  const layout = await strandedHost(root);
  const { status, stdout } = await runScript(renderRecoveryScript(inputFor(root, { lastGoodReleaseId: null, backupPath: null, start: [], stateAfter: null })));
  expect(status).toBe(0);
  expect(stdout).toContain('nothing was installed before');
  expect(await fs.lstat(layout.currentLink).catch(() => null)).toBeNull();
  expect(await fs.stat(layout.stateFile).catch(() => null)).toBeNull();
});

/** Guarantees 1 and 10. */
test('the last good release is not whole: nothing is changed, and it says so', async () => {
  const layout = await strandedHost(work);
  await fs.rm(join(layout.releaseDir('r1' as ReleaseId), '.fairlead-complete.json'));
  const { status, stdout } = await runScript(renderRecoveryScript(inputFor(work)));
  expect(status).toBe(1);
  expect(stdout).toContain('release r1 is not complete on this host: nothing was changed');
  expect(await fs.readlink(layout.currentLink)).toBe('releases/r2');
});

test('an instance does not come up: the others are tried, the intent stays, and it names the backup and the logs', async () => {
  const root = join(work, awkward);
  const layout = await strandedHost(root);
  const failing = { instance: 'api-a' as InstanceName, lines: ["sh -c 'exit 3'; check $? 'api-a does not start'"], readyUrl: null };
  const next = { instance: 'api-b' as InstanceName, lines: ["say 'api-b was tried'"], readyUrl: null };
  const { status, stdout } = await runScript(renderRecoveryScript(inputFor(root, { start: [failing, next] })));
  expect(status).toBe(1);
  expect(stdout).toContain('FAILED: api-a does not start');
  expect(stdout).toContain('api-b was tried');
  expect(stdout).toContain(`The backup is at ${layout.backupDir(runId)}; logs are in ${layout.logsDir}.`);
  expect(await fs.readFile(layout.intentFile, 'utf8')).toBe('{}');
  expect(await fs.readFile(layout.stateFile, 'utf8')).toBe('{"schema":1}');
});

test('a line break in a path does not get out of its comment', async () => {
  await strandedHost(work);
  const { status } = await runScript(renderRecoveryScript(inputFor(work, { backupPath: 'a\ntouch hacked\n' })));
  expect(status).toBe(0);
  expect(await fs.readdir(work)).not.toContain('hacked');
});

test.each(['', "'", "a'b''c", '$HOME `id` "x"', 'line\nbreak', '-n', '*'])('quoted for the shell, %j is one word', (text) => {
  const { stdout } = spawnSync('sh', ['-c', `for word in ${quoteForShell(text)}; do printf '%s|' "$word"; done`], { encoding: 'utf8' });
  expect(stdout).toBe(`${text}|`);
});
