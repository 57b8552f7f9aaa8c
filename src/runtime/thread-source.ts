import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const project = fileURLToPath(new URL('../../', import.meta.url));

/** Bundles the program of the extraction's thread. @returns its text, and the files that it was made of, relative to the project's directory */
export async function bundleThread(): Promise<{ text: string; inputs: string[] }> {
  const result = await build({
    absWorkingDir: project,
    entryPoints: ['src/adapters/bundle/extract-worker-entry.ts'],
    bundle: true,
    platform: 'node',
    target: 'node22',
    // What a thread that starts from text has to be.
    format: 'cjs',
    legalComments: 'none',
    minifyWhitespace: true,
    minifySyntax: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return { text: result.outputFiles[0]?.text ?? '', inputs: Object.keys(result.metafile.inputs) };
}

/** Puts the thread's program where `extract-worker-source.ts` stands. For every bundle that holds the extraction. */
export const threadSource: Plugin = {
  name: 'thread-source',
  setup(building) {
    building.onLoad({ filter: /\/bundle\/extract-worker-source\.ts$/ }, async () => {
      const { text, inputs } = await bundleThread();
      return { contents: `export const extractWorkerSource = ${JSON.stringify(text)};`, watchFiles: inputs.map((path) => join(project, path)) };
    });
  },
};
