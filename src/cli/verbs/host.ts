import { resolve } from 'node:path';
import type { Command } from 'commander';
import { createCommandRunner } from '../../adapters/process/index.ts';
import { enrollHost } from '../../runtime/install/enroll.ts';
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

interface EnrollFlags {
  readonly controller: string;
  readonly token?: string;
  readonly hostId?: string;
  readonly root: string;
  readonly replace?: boolean;
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

  host
    .command('enroll')
    .description("exchange a one-time token (fairlead nodes enroll HOST, on the controller) for this host's own key, and write it into its key file (0600)")
    .requiredOption('--controller <url>', 'address of the API')
    .option('--token <token>', 'the token (or FAIRLEAD_ENROLMENT_TOKEN, which other users of the machine cannot read)')
    .option('--host-id <name>', "this host's name; may be left out where the token names it")
    .option('--root <dir>', 'the prefix of every path of this host', '/')
    .option('--replace', 'take the place of a key that is here already')
    .option('--json', 'print JSON')
    .action(async ({ controller, token = context.env['FAIRLEAD_ENROLMENT_TOKEN'], hostId, root, replace, json }: EnrollFlags) => {
      if (!token) throw usageError('no token is given', 'give --token TOKEN, or set FAIRLEAD_ENROLMENT_TOKEN');
      if (!/^https?:\/\//.test(controller) || !URL.canParse(controller)) throw usageError(`--controller is ${JSON.stringify(controller)}, which is no http address`);
      const enrolled = await enrollHost({ controller, token, hostId: hostId ?? null, root: resolve(context.cwd, root), replace: replace === true });
      if (json) return printJson(context, enrolled);
      context.out(`${enrolled.host} is enrolled as ${enrolled.role}; its key is in ${enrolled.keyFile}\n`);
      context.note(`next: fairlead serve --role node --host-id ${enrolled.host} --controller ${controller}${root === '/' ? '' : ` --root ${root}`}   (or fairlead host install with the same settings; an agent that runs takes the key up by itself)`);
    });

  host
    .command('adopt')
    .description('have the service manager of this host run Fairlead from a bundle, as a product of its own: from then on, fairlead nodes update brings it to other releases')
    .option('--json', 'print JSON')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('<bundle>', "a bundle that npm run release has made: a node's, or on the controller's host a controller's")
    .argument('[settings...]', 'flags of docs/configuration.md; what stands in config.yaml and agent.env need not be given')
    .action(async (bundle: string, argv: string[], { json }: { json?: boolean }) => {
      // Loaded only here: it brings the whole agent.
      const { adopt } = await import('../adopt.ts');
      const result = await adopt(bundle, argv, context);
      if (json) return printJson(context, result);
      context.out(`${result.outcome === 'installed' ? 'installed' : 'was installed already:'} Fairlead ${result.releaseId}: ${result.instances.join(', ')}\n`);
    });
}
