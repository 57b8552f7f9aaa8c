import { Command } from 'commander';
import type { Context } from './context.ts';

const exitCodesHelp = `
Exit codes: 0 succeeded or unchanged, 1 failed, 2 cancelled, 3 refused (nothing was touched), 4 not allowed,
            5 rolled back, 6 stranded, 8 still running, 64 wrong usage.`;

/** What `fairlead` is before it has a command. */
export function emptyProgram(context: Context, version: string): Command {
  return new Command('fairlead')
    .description('Deploys self-hosted products onto the machines that run them.')
    .version(version)
    .showHelpAfterError('(fairlead --help lists the commands)')
    .addHelpText('after', exitCodesHelp)
    .exitOverride()
    .configureOutput({ writeOut: context.out, writeErr: (text) => context.note(text.trimEnd()) });
}

/** Gives every command what a subcommand does not inherit from its parent. */
export function settled(program: Command): Command {
  const settle = (command: Command): void => {
    command.exitOverride().configureOutput(program.configureOutput()).showHelpAfterError('(add --help)');
    command.commands.forEach((inner) => settle(inner as Command));
  };
  program.commands.forEach((command) => settle(command as Command));
  return program;
}
