import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { agentCommand, agentEnvironment } from '../../runtime/agent-command.ts';
import { settingsOrThrow } from '../../runtime/config.ts';
import { findHome } from '../../runtime/home.ts';
import { supervise } from '../../runtime/processes.ts';
import type { ProcessPlan } from '../../runtime/processes.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';

export function registerServe(program: Command, context: Context): void {
  program
    .command('serve')
    .description('run Fairlead in production: --role controller (control and API) or --role node (the agent)')
    .option('--part <part>', 'of a controller only control or only api, where something else watches over processes')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[settings...]', 'flags of docs/configuration.md')
    .action(async (argv: string[], options: { part?: string }) => {
      if (options.part !== undefined && options.part !== 'control' && options.part !== 'api') throw usageError(`--part is ${JSON.stringify(options.part)}: expected control or api`);
      // Read here only to refuse what is wrong before anything is started; each process reads them again for itself.
      const settings = settingsOrThrow(context.env, argv, readIfThere);
      const parts = settings.role === 'node' ? ['host'] : options.part === undefined ? ['api', 'control'] : [options.part];
      if (settings.role === 'node' && options.part !== undefined) throw usageError(`a node has no part ${options.part}`);
      const running = await Promise.all(parts.map((part) => supervise(planOf(part, argv, context.env), { say: context.note, started: () => undefined })));
      context.note(`serving as ${settings.role}: ${parts.map((part, at) => `${part} (process ${running[at]?.identity()?.pid ?? '?'})`).join(', ')}`);
      if (!context.interrupted.aborted) await new Promise((wake) => context.interrupted.addEventListener('abort', wake, { once: true }));
      // The API first: what it accepts after that would wait for a control worker that is not there.
      for (const process of running) await process.stop();
    });
}

function planOf(part: string, argv: readonly string[], env: Context['env']): ProcessPlan {
  const home = findHome()!; // This file is started by bin/fairlead.
  const entry = part === 'host' ? home.agentEntry : join(home.directory, `workers/${part}.ts`);
  return {
    name: part,
    command: part === 'host' ? agentCommand(entry, argv) : [process.execPath, '--disable-warning=ExperimentalWarning', entry, ...argv],
    env: { ...(env as Record<string, string>), ...(part === 'host' ? agentEnvironment : {}) },
    logFile: null,
    stopSignal: 'SIGTERM',
    stopLimitMs: 40_000,
  };
}

export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
