import * as fs from 'node:fs/promises';
import { createFilesystemArtifactStore } from '../../../src/adapters/artifact-store/filesystem.ts';
import { renderReport } from '../../../src/cli/report-text.ts';
import type { ReleaseDetail } from '../../../src/contract/index.ts';
import { devLayout } from '../../../src/runtime/dev/layout.ts';
import { digestOfHost } from '../look.ts';
import type { Screen } from '../screen.ts';
import { product, type Stage } from '../stage.ts';

export async function corrupted(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter('A corrupted bundle: one bit of r4 is flipped in the controller\'s store, after it was published and signed');
  const shown = await stage.fairlead('release', 'show', product, 'r4', '--json', '--dir', stage.dir);
  const sha256 = (JSON.parse(shown.stdout) as ReleaseDetail).artifacts[0]?.sha256;
  const file = sha256 === undefined ? null : await createFilesystemArtifactStore(devLayout(stage.dir).artifactsDir).path(sha256 as never);
  if (file === null) throw new Error('the bundle of r4 is not in the artifact store');
  await flipBit(file);
  const before = await digestOfHost(stage.layout);
  const { report, exitCode } = await stage.apply('r4');
  const after = await digestOfHost(stage.layout);
  screen.block(renderReport({ ...report, steps: [] }));
  screen.claim('the host refuses it', report.outcome === 'refused' && exitCode === 3, `${report.outcome} (${report.reason?.code}), exit code ${exitCode}`);
  screen.claim('nothing was touched', before.digest === after.digest, `digest of ${before.entries} files, links and folders of the host: ${before.digest} before, ${after.digest} after`);
  await flipBit(file);
}

/** Done twice, the file is as it was. */
async function flipBit(file: string): Promise<void> {
  const handle = await fs.open(file, 'r+');
  try {
    const { size } = await handle.stat();
    const at = Math.floor(size / 2);
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 1;
    await handle.write(byte, 0, 1, at);
  } finally {
    await handle.close();
  }
}
