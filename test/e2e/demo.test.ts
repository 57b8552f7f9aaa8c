import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { project } from '../support/stack.ts';

/** What a person sees who types `npm run demo`, once everything is installed. */
describe('the demo', () => {
  let ended: { exitCode: number | null; stdout: string; stderr: string };
  beforeAll(async () => {
    ended = await new Promise((resolve, reject) => {
      const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(project, 'scripts/demo.ts')], { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      // Asked to end, it ends what it has started.
      const limit = setTimeout(() => child.kill('SIGTERM'), 400_000);
      child.once('error', reject);
      child.once('close', (exitCode) => {
        clearTimeout(limit);
        resolve({ exitCode, stdout, stderr });
      });
    });
  }, 440_000);

  test('everything comes out as told: exit code 0, no request failed, six outcomes', () => {
    const { exitCode, stdout, stderr } = ended;
    expect([exitCode, stderr, stdout.match(/NOT AS TOLD.*/g)]).toEqual([0, '', null]);
    expect(stdout).toMatch(/ok {2}no request fails: [1-9]\d* sent, 0 failed/);
    const outcomes = [...stdout.matchAll(/^ +(r\d) +(\w+) +.* (\d) +http:\S+\/workflows\/\S+$/gm)].map(([, release, outcome, code]) => `${release} ${outcome} ${code}`);
    expect(outcomes).toEqual(['r1 succeeded 0', 'r2 succeeded 0', 'r3 rolled_back 5', 'r4 refused 3', 'r5 succeeded 0', 'r6 stranded 6']);
  });

  test('a claim stands on numbers that were found: digests, starts, killed processes, the recovery record', () => {
    const { stdout } = ended;
    const [, before, after] = /nothing was touched: digest of \d+ .*: (\w{16}) before, (\w{16}) after/.exec(stdout) ?? [];
    expect(before).toBeDefined();
    expect(after).toBe(before);
    expect(stdout.match(/kill -9 \d+ \(the (agent|control worker)\) at step \d+ of \d+: prove (api|web)-[ab]/g)).toHaveLength(2);
    expect(stdout).toContain('starts on r5: api-a 1, api-b 1');
    expect(stdout).toMatch(/STRANDED: this host needs a person[^]*stuck at +prove api-a[^]*RECOVERED {2}noderax-platform: healthy on r5/);
  });

  test('it says how to look again', () => {
    expect(ended.stdout).toMatch(/\$ bin\/fairlead dev --dir \.fairlead\/demo\n[^]*\$ bin\/fairlead runs show \S+ --dir \.fairlead\/demo\n$/);
  });
});
