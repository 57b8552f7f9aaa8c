import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { errorCodes } from '../error-codes.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { renderPairs } from '../table.ts';

const blames: Readonly<Record<string, string>> = {
  request: 'request: what was asked has to be changed; nothing was touched',
  release: 'release: the release is condemned on that host, and not tried again by itself',
  host: 'host: the machine is at fault; the release is untainted',
  dependency: 'dependency: something that is needed is away; it is waited for',
  orchestrator: 'orchestrator: Fairlead itself is at fault; the release is untainted',
};

/** What a code means. Asks nobody: the codes are part of the program. */
export function registerExplain(program: Command, context: Context): void {
  program
    .command('explain')
    .description('what a stable code of an error means, and what helps; without one, list all. Needs no network')
    .argument('[code]')
    .option('--json', 'print JSON')
    .action((code: string | undefined, options: { json?: boolean }) => {
      if (code === undefined) {
        if (options.json) return printJson(context, errorCodes);
        return context.out(`${Object.keys(errorCodes).join('\n')}\n`);
      }
      const found = Object.hasOwn(errorCodes, code) ? errorCodes[code] : undefined;
      if (found === undefined) throw new CommandFailure(exitCodes.refused, `no code ${JSON.stringify(code)} is known`, nearTo(code));
      if (options.json) return printJson(context, { code, ...found });
      context.out(
        renderPairs([
          ['code', code],
          ['class', found.class === null ? 'as the case may be' : (blames[found.class] ?? found.class)],
          ['says', found.message ?? 'what the other side said'],
          ['helps', found.hint ?? 'what is said with it'],
        ]),
      );
    });
}

function nearTo(code: string): string {
  const words = code.split('_').filter((word) => word.length > 2);
  const near = Object.keys(errorCodes).filter((each) => words.some((word) => each.includes(word)));
  return near.length === 0 ? 'list all of them: fairlead explain' : `known are ${near.slice(0, 10).join(', ')}`;
}
