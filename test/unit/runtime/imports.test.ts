import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const repository = join(import.meta.dirname, '../../..');

/** The names of the rules that a tree of these files breaks. */
function rulesBroken(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'fairlead-imports-'));
  try {
    symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
    symlinkSync(join(repository, 'package.json'), join(root, 'package.json'));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    const { stderr, status } = spawnSync(join(repository, 'node_modules/.bin/node'), [join(repository, 'scripts/check-imports.ts'), root], { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } });
    const rules = [...stderr.matchAll(/\(([a-z-]+)\)$/gm)].map(([, rule]) => rule!);
    if ((status === 0) !== (rules.length === 0)) throw new Error(stderr);
    return [...new Set(rules)].sort();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const port = { 'src/domain/noun.ts': 'export interface Noun { readonly name: string }\n', 'src/ports/port.ts': "import type { Noun } from '../domain/noun.ts';\nexport interface Port { noun(): Noun }\n" };
const act = "import type { Port } from '../src/ports/port.ts';\nexport const act = (port: Port) => port.noun();\n";

test('what the table allows passes: types of activities in a workflow, ports in activities, execa in its one place', () => {
  expect(
    rulesBroken({
      ...port,
      'activities/act.ts': act,
      'workflows/flow.ts': "import { proxyActivities } from '@temporalio/workflow';\nimport type { act } from '../activities/act.ts';\nexport const proxy = () => proxyActivities<{ act: typeof act }>({});\n",
      'src/adapters/process/run.ts': "import { execa } from 'execa';\nimport type { Port } from '../../ports/port.ts';\nexport const run = (_: Port) => execa;\n",
    }),
  ).toEqual([]);
});

test.each<{ name: string; files: Record<string, string>; rule: string }>([
  { name: 'the domain imports a port', rule: 'domain-is-pure', files: { 'src/domain/wrong.ts': "import type { Port } from '../ports/port.ts';\nexport type Wrong = Port;\n" } },
  { name: 'the domain imports node', rule: 'domain-is-pure', files: { 'src/domain/wrong.ts': "import { readFileSync } from 'node:fs';\nexport const wrong = readFileSync;\n" } },
  { name: 'a port imports an adapter', rule: 'ports-know-the-domain', files: { 'src/ports/wrong.ts': "import { a } from '../adapters/a.ts';\nexport const wrong = a;\n", 'src/adapters/a.ts': "import type { Port } from '../ports/port.ts';\nexport const a = (_: Port) => 1;\n" } },
  { name: 'an adapter imports the runtime', rule: 'adapters-know-ports', files: { 'src/adapters/a.ts': "import { r } from '../runtime/r.ts';\nexport const a = r;\n", 'src/runtime/r.ts': 'export const r = 1;\n' } },
  { name: 'a workflow imports the code of an activity', rule: 'workflows-decide', files: { 'activities/act.ts': act, 'workflows/flow.ts': "import { act } from '../activities/act.ts';\nexport const flow = act;\n" } },
  { name: 'a workflow imports node', rule: 'workflows-touch-no-system', files: { 'workflows/flow.ts': "import { readFileSync } from 'node:fs';\nexport const flow = readFileSync;\n" } },
  { name: 'a workflow imports zod', rule: 'zod-at-the-edges', files: { 'workflows/flow.ts': "import { z } from 'zod';\nexport const flow = z;\n" } },
  { name: 'an activity imports an adapter', rule: 'activities-know-ports', files: { 'activities/wrong.ts': "import { a } from '../src/adapters/a.ts';\nexport const wrong = a;\n", 'src/adapters/a.ts': 'export const a = 1;\n' } },
  { name: 'execa elsewhere than in the process adapter', rule: 'execa-in-one-place', files: { 'src/cli/wrong.ts': "import { execa } from 'execa';\nexport const wrong = execa;\n" } },
  { name: 'the agent reaches the database over two files', rule: 'agent-is-light', files: { 'workers/host.ts': "import { a } from '../src/runtime/a.ts';\nexport const host = a;\n", 'src/runtime/a.ts': "import { b } from './b.ts';\nexport const a = b;\n", 'src/runtime/b.ts': "import pg from 'pg';\nexport const b = pg;\n" } },
  { name: 'two files import each other', rule: 'no-circles', files: { 'src/runtime/a.ts': "import { b } from './b.ts';\nexport const a = (): unknown => b;\n", 'src/runtime/b.ts': "import { a } from './a.ts';\nexport const b = (): unknown => a;\n" } },
  { name: 'a file that nothing imports and that imports nothing', rule: 'no-orphans', files: { 'src/runtime/a.ts': 'export const a = 1;\n' } },
  { name: 'an import that leads nowhere', rule: 'found', files: { 'src/runtime/a.ts': "import { b } from './gone.ts';\nexport const a = b;\n" } },
  { name: 'what ships imports a test', rule: 'product-knows-no-test', files: { 'src/runtime/a.ts': "import { t } from '../../test/t.ts';\nexport const a = t;\n", 'test/t.ts': 'export const t = 1;\n' } },
])('$name: refused by $rule', ({ files, rule }) => {
  expect(rulesBroken({ ...port, ...files })).toContain(rule);
});
