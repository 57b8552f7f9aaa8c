import * as fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openApiText } from '../src/api/document.ts';
import { commandsPage, configurationPage } from './reference-pages.ts';
import { stateMachinesPage } from './state-machines.ts';

/** Writes the pages that are made from code; with `--check`, only says which are stale. */
const pages: readonly [string, string][] = [
  ['docs/state-machines.md', stateMachinesPage()],
  ['docs/commands.md', commandsPage()],
  ['docs/configuration.md', configurationPage()],
  ['docs/openapi.json', await openApiText()],
];
const project = fileURLToPath(new URL('../', import.meta.url));
let stale = 0;
for (const [path, text] of pages) {
  const before = await fs.readFile(project + path, 'utf8').catch(() => '');
  if (before === text) continue;
  stale += 1;
  if (process.argv.includes('--check')) process.stderr.write(`${path} is stale: run npm run docs\n`);
  else await fs.writeFile(project + path, text);
}
if (process.argv.includes('--check') && stale > 0) process.exit(1);
