import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { build, type Plugin } from 'esbuild';

const project = fileURLToPath(new URL('../../', import.meta.url));

/** A program that runs in a thread or a process of its own, bundled by itself into text that a module of the agent holds. */
interface InnerProgram {
  readonly entry: string;
  /** The module that stands for the text, and is null where Fairlead runs from its sources. */
  readonly module: RegExp;
  readonly name: string;
  /** Packed text is smaller in the agent's memory, and slower to begin with. */
  readonly packed: boolean;
}

const programs: readonly InnerProgram[] = [
  { entry: 'src/adapters/bundle/extract-worker-entry.ts', module: /\/bundle\/extract-worker-source\.ts$/, name: 'extractWorkerSource', packed: false },
  { entry: 'src/adapters/certificate-issuer/acme/process-entry.ts', module: /\/acme\/program-text\.ts$/, name: 'acmeProgramText', packed: true },
];

/**
 * What acme-client brings and Fairlead does not use: a second HTTP client, a second implementation of X.509, and its own course of an order.
 * Each would be used only through functions that are replaced or never called (`src/adapters/certificate-issuer/acme/client.ts`).
 */
const unusedOfAcmeClient: Plugin = {
  name: 'unused-of-acme-client',
  setup(building) {
    building.onLoad({ filter: /\/acme-client\/src\/(axios|auto|verify|crypto\/forge)\.js$/ }, () => ({ contents: 'module.exports = {};' }));
    building.onLoad({ filter: /\/acme-client\/src\/logger\.js$/ }, () => ({ contents: 'exports.log = () => undefined; exports.setLogger = () => undefined;' }));
  },
};

async function bundleOne({ entry }: InnerProgram): Promise<{ text: string; inputs: string[] }> {
  const result = await build({
    absWorkingDir: project,
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    target: 'node22',
    // What a thread, or a process, that starts from text has to be.
    format: 'cjs',
    legalComments: 'none',
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [unusedOfAcmeClient],
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return { text: result.outputFiles[0]?.text ?? '', inputs: Object.keys(result.metafile.inputs) };
}

/** @returns the files that these programs are made of, relative to the project's directory */
export async function threadInputs(): Promise<string[]> {
  return (await Promise.all(programs.map(bundleOne))).flatMap(({ inputs }) => inputs);
}

/** Puts each program where its module stands. For every bundle that starts them. */
export const threadSource: Plugin = {
  name: 'thread-source',
  setup(building) {
    for (const program of programs) {
      building.onLoad({ filter: program.module }, async ({ path }) => {
        const { text, inputs } = await bundleOne(program);
        const held = program.packed ? brotliCompressSync(text).toString('base64') : text;
        return { contents: `export const ${program.name} = ${JSON.stringify(held)};`, resolveDir: dirname(path), watchFiles: inputs.map((input) => join(project, input)) };
      });
    }
  },
};
