import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findHome, lastingHome, ownReleaseId } from '../../../src/runtime/home.ts';

describe('where Fairlead lies', () => {
  let root: string;
  beforeEach(() => (root = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-home-')))));
  afterEach(() => rmSync(root, { recursive: true }));
  const put = (path: string, text = ''): string => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    return join(root, path);
  };
  function release(releaseId: string, product = 'fairlead'): string {
    put(`releases/${releaseId}/bin/fairlead`);
    put(`releases/${releaseId}/fairlead.yaml`, `schema: 1\nproduct: ${product}\nreleaseId: "${releaseId}" # this one\n`);
    return put(`releases/${releaseId}/lib/agent.mjs`);
  }

  test("from a node's release: its directory, its agent, and the release id of the manifest beside the code", () => {
    const home = findHome(release('r7'));
    expect(home).toEqual({ directory: join(root, 'releases/r7'), command: join(root, 'releases/r7/bin/fairlead'), agentEntry: join(root, 'releases/r7/lib/agent.mjs') });
    expect(ownReleaseId(home)).toBe('r7');
  });
  test('from a checkout: the agent that was built, else its source; no release', () => {
    put('bin/fairlead');
    const from = put('src/runtime/home.ts');
    expect(findHome(from)?.agentEntry).toBe(join(root, 'workers/host.ts'));
    put('dist/agent.mjs');
    expect(findHome(from)?.agentEntry).toBe(join(root, 'dist/agent.mjs'));
    expect(ownReleaseId(findHome(from))).toBeNull();
  });
  test('a copy of the one file alone: nowhere, and no release', () => {
    expect(findHome(put('a/b/c/agent.mjs'))).toBeNull();
    expect(ownReleaseId(null)).toBeNull();
  });
  test("another product's manifest is not taken for Fairlead's", () => {
    expect(ownReleaseId(findHome(release('r1', 'lab')))).toBeNull();
  });
  test('the release that `current` points at is named by `current`; another one by itself', () => {
    const [active, other] = [findHome(release('r8'))!, findHome(release('r7'))!];
    symlinkSync('releases/r8', join(root, 'current'));
    expect(lastingHome(active)).toEqual({ directory: join(root, 'current'), command: join(root, 'current/bin/fairlead'), agentEntry: join(root, 'current/lib/agent.mjs') });
    expect(lastingHome(other)).toBe(other);
  });
});
