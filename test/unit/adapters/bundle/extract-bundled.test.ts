import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { threadSource } from '../../../../src/runtime/thread-source.ts';
import { packRelease } from '../../../support/bundle-source.ts';

const sources = resolve(import.meta.dirname, '../../../../src/adapters');

test('bundled into one file, the thread starts from the text in that file, and from nowhere else', async () => {
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-bundled-'));
  try {
    const { file, artifact } = await packRelease(work, 'r1', { 'bin/run': '#!/bin/sh\n', 'lib/large.js': Buffer.alloc(4_000_000, 'large ') });
    const main = `
      import { createReleaseStore } from './release-store/filesystem/index.ts';
      import { syncEach } from './files/sync-tree.ts';
      const [, , root, bundle, artifact] = process.argv;
      const result = await createReleaseStore({ root, syncTree: syncEach }).extract(bundle, JSON.parse(artifact), () => {});
      console.log(JSON.stringify({ files: result.files, bytes: result.bytes }));`;
    await fs.writeFile(join(work, 'main.ts'), main.replaceAll("'./", `'${sources}/`));
    await build({
      entryPoints: [join(work, 'main.ts')],
      plugins: [threadSource],
      outfile: join(work, 'dist/agent.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      logLevel: 'error',
    });
    const { manifest: _manifest, ...reference } = artifact;
    const { stdout } = await promisify(execFile)(process.execPath, [join(work, 'dist/agent.mjs'), join(work, 'root'), file, JSON.stringify(reference)], { timeout: 50_000 });
    expect(JSON.parse(stdout)).toMatchObject({ files: 3 });
    expect((await fs.stat(join(work, 'root/opt/demo/releases/r1/lib/large.js'))).size).toBe(4_000_000);
  } finally {
    await fs.rm(work, { recursive: true, force: true });
  }
});
