import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { bundleCreate } from '../../src/cli/bundle.ts';

export interface DemoRelease {
  readonly releaseId: string;
  /** `faults.json` of the example product: how it misbehaves. */
  readonly faults?: Readonly<Record<string, unknown>>;
}

/** Bundles the example product once for each release, below `work`; gives the files. Its waits are shortened: nobody wants to watch twenty seconds of nothing. */
export async function bundleReleases(example: string, work: string, releases: readonly DemoRelease[]): Promise<string[]> {
  await fs.mkdir(work, { recursive: true });
  const files: string[] = [];
  for (const { releaseId, faults } of releases) {
    const directory = join(work, releaseId);
    await fs.cp(example, directory, { recursive: true });
    const manifest = join(directory, 'fairlead.yaml');
    const text = await fs.readFile(manifest, 'utf8');
    await fs.writeFile(manifest, text.replaceAll(/startSeconds: \d+/g, 'startSeconds: 3').replace(/^bakeSeconds: .*$/m, 'bakeSeconds: 0.5'));
    if (faults) await fs.writeFile(join(directory, 'faults.json'), JSON.stringify(faults));
    const output = join(work, `${releaseId}.tar.gz`);
    await bundleCreate({ directory, release: releaseId, output });
    files.push(output);
  }
  return files;
}
