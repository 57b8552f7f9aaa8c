import { resolve } from 'node:path';
import { agentLayout } from '../domain/host/layout.ts';
import { composeHost } from '../runtime/agent/host.ts';
import { section, settingsOrThrow } from '../runtime/config.ts';
import { adoptOwnProduct, type AdoptResult } from '../runtime/install/own-product.ts';
import type { Context } from './context.ts';
import { routerProgram } from './recover.ts';
import { readIfThere } from './verbs/serve.ts';

/** Has this host run Fairlead from a bundle, with the settings that its agent will have. @param argv flags of docs/configuration.md */
export async function adopt(bundle: string, argv: readonly string[], { env, cwd, note }: Context): Promise<AdoptResult> {
  const at = argv.findLastIndex((word) => word === '--root');
  const root = resolve(cwd, (at === -1 ? env['FAIRLEAD_ROOT'] : argv[at + 1]) || '/');
  // What the release's own agent is started with; flags and what stands in the environment have precedence there as well.
  const file = env['FAIRLEAD_ENV_FILE'] ?? `-${agentLayout(root).configDir}/agent.env`;
  const settings = section(settingsOrThrow({ ...env, FAIRLEAD_ENV_FILE: file, FAIRLEAD_ROLE: 'node' }, argv, readIfThere), 'host');
  const { hostId, ports, router, services, composeImage, routerAddress, apiUrl } = settings;
  const host = await composeHost({ hostId, root: settings.root, ports, router, services, composeImage, routerAddress, apiUrl, readKey: async () => '', routerEntry: [process.execPath, ...routerProgram()] });
  return adoptOwnProduct(host, { bundleFile: resolve(cwd, bundle), say: note });
}
