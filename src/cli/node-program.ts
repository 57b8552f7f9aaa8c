import type { Command } from 'commander';
import type { Context } from './context.ts';
import { emptyProgram, settled } from './empty-program.ts';
import { registerBundle } from './verbs/bundle.ts';
import { registerConfig } from './verbs/config.ts';
import { registerExplain } from './verbs/explain.ts';
import { registerHost } from './verbs/host.ts';
import { registerRecover } from './verbs/recover.ts';
import { registerServe } from './verbs/serve.ts';

/** The commands of a node's release: what a host needs where there is no controller to ask. `serve` is for its help; bin/fairlead starts the agent itself. */
export function createNodeProgram(context: Context, version: string): Command {
  const program = emptyProgram(context, version);
  registerServe(program, context);
  registerHost(program, context);
  registerBundle(program, context);
  registerRecover(program, context);
  registerConfig(program, context);
  registerExplain(program, context);
  return settled(program);
}
