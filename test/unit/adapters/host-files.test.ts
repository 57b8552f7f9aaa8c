import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostFiles } from '../../../src/adapters/host-files/filesystem.ts';

test('a challenge stands while it is asked for; what an agent that was killed has left is cleared, and what a CA asks for stays', async () => {
  const root = await fs.mkdtemp(join(tmpdir(), 'fairlead-challenge-'));
  const folder = join(root, '.well-known/acme-challenge');
  try {
    await fs.mkdir(folder, { recursive: true });
    await fs.writeFile(join(folder, 'fairlead-0123'), 'left');
    await fs.writeFile(join(folder, 'token-of-the-ca'), 'token.thumb');
    let [during, text]: [string[], string] = [[], ''];
    await createHostFiles(root).withChallenge(root, async (challenge) => {
      during = await fs.readdir(folder);
      text = await fs.readFile(join(root, challenge.path), 'utf8');
      expect(text).toBe(challenge.text);
    });
    expect([during.length, during.includes('fairlead-0123'), await fs.readdir(folder)]).toEqual([2, false, ['token-of-the-ca']]);
  } finally {
    await fs.rm(root, { recursive: true, force: true });
  }
});
