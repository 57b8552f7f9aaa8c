import * as fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { errorCodes, errorsModule, errorsPage } from './error-codes.ts';
import { guaranteesPage } from './guarantees.ts';

const project = fileURLToPath(new URL('../', import.meta.url));
let stale = 0;

/** Writes a page that is made from code; with `--check`, only says that it is stale. */
async function keep(path: string, text: string): Promise<void> {
  const before = await fs.readFile(project + path, 'utf8').catch(() => '');
  if (before === text) return;
  stale += 1;
  if (process.argv.includes('--check')) process.stderr.write(`${path} is stale: run npm run docs\n`);
  else await fs.writeFile(project + path, text);
}

const codes = errorCodes();
await keep('docs/errors.md', errorsPage(codes));
await keep('src/cli/error-codes.ts', errorsModule(codes));
// The others read the program itself, of which the codes are a part.
const { commandsPage, configurationPage } = await import('./reference-pages.ts');
const { openApiText } = await import('../src/api/document.ts');
const { stateMachinesPage } = await import('./state-machines.ts');
await keep('docs/guarantees.md', guaranteesPage());
await keep('docs/state-machines.md', stateMachinesPage());
await keep('docs/commands.md', commandsPage());
await keep('docs/configuration.md', configurationPage());
await keep('docs/openapi.json', await openApiText());
if (process.argv.includes('--check') && stale > 0) process.exit(1);
