import { Command } from 'commander';
import type { Context } from './context.ts';
import { registerAudit } from './verbs/audit.ts';
import { registerBundle } from './verbs/bundle.ts';
import { registerConfig } from './verbs/config.ts';
import { registerDev } from './verbs/dev.ts';
import { registerDoctor } from './verbs/doctor.ts';
import { registerHost } from './verbs/host.ts';
import { registerKeys } from './verbs/keys.ts';
import { registerNodes } from './verbs/nodes.ts';
import { registerPromote } from './verbs/promote.ts';
import { registerRecover } from './verbs/recover.ts';
import { registerRelease } from './verbs/release.ts';
import { registerRollout } from './verbs/rollout.ts';
import { registerRuns } from './verbs/runs.ts';
import { registerServe } from './verbs/serve.ts';
import { registerService } from './verbs/service.ts';
import { registerUpdate } from './verbs/update.ts';

const exitCodesHelp = `
Exit codes: 0 succeeded or unchanged, 1 failed, 2 cancelled, 3 refused (nothing was touched), 4 not allowed,
            5 rolled back, 6 stranded, 8 still running, 64 wrong usage.`;

/** Every command. Ends nothing by itself: wrong usage is thrown, as `CommanderError`. */
export function createProgram(context: Context, version: string): Command {
  const program = new Command('fairlead')
    .description('Deploys self-hosted products onto the machines that run them.')
    .version(version)
    .showHelpAfterError('(fairlead --help lists the commands)')
    .addHelpText('after', exitCodesHelp)
    .exitOverride()
    .configureOutput({ writeOut: context.out, writeErr: (text) => context.note(text.trimEnd()) });
  registerDev(program, context);
  registerServe(program, context);
  registerHost(program, context);
  registerDoctor(program, context);
  registerBundle(program, context);
  registerRelease(program, context);
  registerUpdate(program, context);
  registerPromote(program, context);
  registerService(program, context);
  registerNodes(program, context);
  registerRollout(program, context);
  registerRuns(program, context);
  registerRecover(program, context);
  registerAudit(program, context);
  registerKeys(program, context);
  registerConfig(program, context);
  // A subcommand inherits neither of these from its parent.
  const settle = (command: Command): void => {
    command.exitOverride().configureOutput(program.configureOutput()).showHelpAfterError('(add --help)');
    command.commands.forEach((inner) => settle(inner as Command));
  };
  program.commands.forEach((command) => settle(command as Command));
  return program;
}
