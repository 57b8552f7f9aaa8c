import type { Command } from 'commander';
import { createCommandRunner } from '../../adapters/process/index.ts';
import { installHost } from '../../runtime/install/index.ts';
import type { InitSystem } from '../../runtime/install/units.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';

interface InstallFlags {
  readonly manager?: string;
  readonly apiUrl?: string;
  readonly json?: boolean;
}

export function registerHost(program: Command, context: Context): void {
  const host = program.command('host').description('Fairlead itself as a service of this machine');
  host
    .command('install')
    .description('write the configuration file and the unit (or init script) of the agent, or with --role controller of the control plane, and enable it; asked twice, it changes nothing')
    .option('--manager <manager>', 'systemd or openrc; the one that runs this machine, if not given')
    .option('--api-url <url>', 'where the controller is; the same as --controller')
    .option('--json', 'print JSON')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[settings...]', 'flags of docs/configuration.md, such as --host-id NAME, --root DIR, --services embedded: they are written into the file')
    .action(async (argv: string[], { manager, apiUrl, json }: InstallFlags) => {
      if (manager !== undefined && manager !== 'systemd' && manager !== 'openrc') throw usageError(`--manager is ${JSON.stringify(manager)}: expected systemd or openrc`);
      const installed = await installHost({ manager: (manager as InitSystem | undefined) ?? null, argv: [...argv, ...(apiUrl === undefined ? [] : ['--controller', apiUrl])], commands: createCommandRunner() });
      if (json) return printJson(context, installed);
      for (const { what, result } of installed.steps) context.out(`${result === 'done' ? 'done     ' : 'unchanged'}  ${what}\n`);
      for (const { command, why } of installed.next) context.note(`next: ${command}   (${why})`);
    });
}
