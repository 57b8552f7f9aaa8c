// node scripts/check-imports.ts [ROOT]: holds the import table of .dependency-cruiser.mjs over every source file. Prints each import that
// breaks it; exits 1 if there is one.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';
import type { ICruiseResult, IForbiddenRuleType } from 'dependency-cruiser';

const repository = dirname(dirname(fileURLToPath(import.meta.url)));

/** A message per import that is not allowed; `modules` counts the source files that were read. */
export async function checkImports(root: string): Promise<{ modules: number; problems: string[] }> {
  const { default: rules } = (await import(join(repository, '.dependency-cruiser.mjs'))) as { default: { forbidden: IForbiddenRuleType[]; options: Record<string, unknown> } };
  const folders = ['src', 'activities', 'workflows', 'workers', 'scripts', 'test', 'bench'].filter((folder) => existsSync(join(root, folder)));
  const result = await cruise(folders, { ...rules.options, baseDir: root, ruleSet: { forbidden: rules.forbidden }, validate: true });
  const output = result.output as ICruiseResult;
  const read = output.modules.filter(({ source }) => folders.some((folder) => source.startsWith(`${folder}/`)));
  const problems = output.summary.violations.map(({ from, to, rule, cycle }) => {
    const comment = rules.forbidden.find(({ name }) => name === rule.name)?.comment ?? rule.name;
    const chain = cycle?.map(({ name }) => name).join(' -> ');
    return from === to ? `${from}: ${comment} (${rule.name})` : `${from} imports ${chain ?? to}: ${comment} (${rule.name})`;
  });
  // Without @swc/core the cruiser reads no TypeScript at all, finds nothing wrong, and says that all is well.
  const there = folders.flatMap((folder) => sourcesIn(join(root, folder))).length;
  if (read.length < there || there === 0) problems.push(`only ${read.length} of ${there} source files were read: is @swc/core installed?`);
  const edges = read.reduce((sum, { dependencies }) => sum + dependencies.length, 0);
  if (there > 1 && edges === 0) problems.push(`no import was found in ${read.length} files, so nothing was checked: is @swc/core installed?`);
  return { modules: read.length, problems };
}

function sourcesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !/(^|\/)(node_modules|fixtures)\//.test(name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { modules, problems } = await checkImports(resolve(process.argv[2] ?? repository));
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stderr.write(`${modules} files, ${problems.length} imports that are not allowed\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
