import type { Command } from 'commander';
import type { Context } from './context.ts';
import { emptyProgram, settled } from './empty-program.ts';
import { registerAudit } from './verbs/audit.ts';
import { registerBundle } from './verbs/bundle.ts';
import { registerCert } from './verbs/cert.ts';
import { registerConfig } from './verbs/config.ts';
import { registerDev } from './verbs/dev.ts';
import { registerDoctor } from './verbs/doctor.ts';
import { registerExplain } from './verbs/explain.ts';
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
import { registerSettings } from './verbs/settings.ts';
import { registerSupportBundle } from './verbs/support-bundle.ts';
import { registerUpdate } from './verbs/update.ts';

/** Every command. Ends nothing by itself: wrong usage is thrown, as `CommanderError`. */
export function createProgram(context: Context, version: string): Command {
  const program = emptyProgram(context, version);
  registerDev(program, context);
  registerServe(program, context);
  registerHost(program, context);
  registerDoctor(program, context);
  registerBundle(program, context);
  registerRelease(program, context);
  registerUpdate(program, context);
  registerPromote(program, context);
  registerService(program, context);
  registerCert(program, context);
  registerNodes(program, context);
  registerRollout(program, context);
  registerRuns(program, context);
  registerRecover(program, context);
  registerAudit(program, context);
  registerKeys(program, context);
  registerSettings(program, context);
  registerConfig(program, context);
  registerExplain(program, context);
  registerSupportBundle(program, context, version);
  return settled(program);
}
