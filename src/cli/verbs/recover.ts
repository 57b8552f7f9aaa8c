import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { exists } from '../../adapters/files/durable.ts';
import { hostLayout } from '../../domain/host/layout.ts';
import type { ProductName } from '../../domain/ids.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';
import type { RecoverResult } from '../../runtime/recover.ts';
import { renderPairs } from '../table.ts';

export function registerRecover(program: Command, context: Context): void {
  program
    .command('recover')
    .description('on a host: bring it back with what lies on it; needs no API, no Temporal, no database')
    .option('--run <run>', 'the run that stranded (default: the one that the host remembers)')
    .option('--product <product>', 'default: the only one with a change that was left behind')
    .option('--root <dir>', 'prefix of every path of the host, as the agent has it (or FAIRLEAD_ROOT)')
    .option('--force', 'also where the run is not stranded, because its control plane is gone for good')
    .option('--json', 'print JSON')
    .action(async (options: { run?: string; product?: string; root?: string; force?: boolean; json?: boolean }) => {
      const root = resolve(context.cwd, options.root ?? (context.env['FAIRLEAD_ROOT'] || '/'));
      const product = options.product ?? (await theOnlyIntent(root));
      if (product === null) {
        const nothing: Omit<RecoverResult, 'product'> & { product: null } = { schema: 1, outcome: 'nothing_to_do', product: null, runId: null, releaseId: null, backupPath: null, instances: [] };
        return options.json ? printJson(context, nothing) : context.out(`nothing to do: no change of any product was left behind below ${root}\n`);
      }
      // Loaded only here: it brings the whole agent.
      const { recover } = await import('../recover.ts');
      const result = await recover({ root, product, run: options.run, force: options.force, say: context.note });
      if (options.json) return printJson(context, result);
      if (result.outcome === 'nothing_to_do') return context.out(`nothing to do: no change of ${product} was left behind below ${root}\n`);
      context.out(`RECOVERED  ${product}: ${result.releaseId === null ? 'nothing is installed, as before' : `healthy on ${result.releaseId}`}\n`);
      context.out(renderPairs([['run', result.runId ?? '-'], ['backup', result.backupPath ?? 'none was needed'], ...result.instances.map(({ name, restarted }) => [name, restarted ? 'restarted' : 'was left running'] as const)]));
    });
}

/** The product with a change that was left behind; null where there are products and none has one. */
async function theOnlyIntent(root: string): Promise<string | null> {
  const products = await readdir(join(root, 'var/lib')).catch(() => [] as string[]);
  const left: string[] = [];
  let known = 0;
  for (const product of products) {
    const { intentFile, stateFile } = hostLayout(root, product as ProductName);
    if (await exists(stateFile)) known += 1;
    if (await exists(intentFile)) left.push(product);
  }
  const [first, ...others] = left;
  if (first === undefined && known > 0) return null;
  if (first === undefined) throw usageError(`there is no product of Fairlead below ${root}`, 'another host? name its root: --root DIR; or name the product: --product NAME');
  if (others.length > 0) throw usageError('several products have a change that was left behind; say which with --product', left.join('\n'));
  return first;
}
