import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';
import { withAgentMessagesOnly } from './agent-messages.ts';
import { threadInputs, threadSource } from './thread-source.ts';

/** Where the agent's one file is built from and to, below the project's directory. */
export const agentEntry = 'workers/host.ts';
export const agentBundle = 'dist/agent.mjs';

const projectDirectory = fileURLToPath(new URL('../../', import.meta.url));

/** Walks over every message of Temporal's API, for payloads that are kept elsewhere: only the SDK's high-level clients take them, which the agent has none of. */
const noPayloadWalks: Plugin = {
  name: 'no-payload-walks',
  setup(building) {
    building.onLoad({ filter: /\/@temporalio\/proto\/lib\/payload-visitor\.generated\.js$/ }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
  },
};

/** Messages of calls that no agent makes. */
const agentMessages: Plugin = {
  name: 'agent-messages',
  setup(building) {
    building.onLoad({ filter: /\/@temporalio\/proto\/protos\/json-module\.js$/ }, async ({ path }) => ({ contents: withAgentMessagesOnly(await fs.readFile(path, 'utf8')), loader: 'js' }));
  },
};

/** Messages in fifty languages, of which Fairlead speaks one. */
const englishOnly: Plugin = {
  name: 'english-only',
  setup(building) {
    building.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, ({ path }) => ({ contents: "export { default as en } from './en.js';", resolveDir: dirname(path) }));
  },
};

/** OpenTelemetry's packages come in CommonJS and as modules; of the modules only what is used is taken, a sixth of it all. */
const telemetryAsModules: Plugin = {
  name: 'telemetry-as-modules',
  setup(building) {
    building.onResolve({ filter: /^@opentelemetry\/[^/]+$/ }, async ({ path, pluginData, ...where }) => {
      if (pluginData === 'found') return undefined;
      const found = await building.resolve(path, { kind: where.kind, resolveDir: where.resolveDir, importer: where.importer, pluginData: 'found' });
      return { path: found.path.replace('/build/src/', '/build/esm/'), sideEffects: false };
    });
  },
};

/**
 * Bundles the agent with everything it imports into one file of pure JavaScript. Skipped where no input has changed since.
 *
 * @param options.entry another entry point, for tests
 * @returns the file, and whether it was built anew
 */
export async function buildAgent({ entry = agentEntry, outfile = agentBundle } = {}): Promise<{ file: string; built: boolean }> {
  const project = projectDirectory;
  const file = join(project, outfile);
  const stampFile = `${file}.inputs.json`;
  if (await isFresh(project, file, stampFile)) return { file, built: false };
  const { text, metafile } = await bundleEntry(entry);
  await fs.mkdir(join(file, '..'), { recursive: true });
  // Two that build it at the same time replace each other's files as wholes.
  const replace = async (path: string, content: string | Uint8Array): Promise<void> => {
    const temporary = `${path}.${process.pid}.tmp`;
    await fs.writeFile(temporary, content);
    await fs.rename(temporary, path);
  };
  await replace(file, text);
  const inputs: Record<string, string> = {};
  // How it is built counts as well.
  for (const path of [...Object.keys(metafile.inputs), ...(await threadInputs()), 'src/runtime/agent-messages.ts', 'src/runtime/build-agent.ts', 'src/runtime/thread-source.ts']) inputs[path] = await digestOf(join(project, path));
  await replace(stampFile, JSON.stringify(inputs));
  return { file, built: true };
}

/**
 * One file of pure JavaScript that needs nothing but Node: a program of the node's artifact.
 *
 * @param entry relative to the project's directory
 * @returns the text, the same for the same sources and packages; and what it was made of, with paths as `entry`
 */
export async function bundleEntry(entry: string): Promise<{ text: Uint8Array; metafile: Metafile }> {
  const result = await build({
    absWorkingDir: projectDirectory,
    entryPoints: [entry],
    outfile: 'built.mjs',
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    metafile: true,
    legalComments: 'none',
    // The agent's memory holds its source as well. Names stay, for the sake of stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [agentMessages, englishOnly, noPayloadWalks, telemetryAsModules, threadSource],
    // ws looks for native helpers, unless it is told not to: the agent is one file of pure JavaScript.
    define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
    // Dependencies in CommonJS call require() for Node's own modules, which an ES module does not have.
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
    logLevel: 'silent',
    write: false,
  });
  return { text: result.outputFiles[0]?.contents ?? new Uint8Array(), metafile: result.metafile };
}

async function isFresh(project: string, file: string, stampFile: string): Promise<boolean> {
  try {
    await fs.access(file);
    const inputs = JSON.parse(await fs.readFile(stampFile, 'utf8')) as Record<string, string>;
    for (const [path, digest] of Object.entries(inputs)) {
      // Packages change only with a new install, which makes new folders; their thousands of files are not worth hashing each time.
      if ((await digestOf(join(project, path))) !== digest) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function digestOf(path: string): Promise<string> {
  if (path.includes('/node_modules/')) {
    const { size, mtimeMs } = await fs.stat(path);
    return `${size}:${mtimeMs}`;
  }
  return createHash('sha256').update(await fs.readFile(path)).digest('hex');
}
