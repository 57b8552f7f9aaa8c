import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join, resolve } from 'node:path';
import { createHostStore } from '../adapters/host-store/filesystem.ts';
import { FairleadError } from '../domain/failure.ts';
import { hostLayout } from '../domain/host/layout.ts';
import { namePattern, type HostId, type ProductName, type RunId } from '../domain/ids.ts';
import { composeHost } from '../runtime/agent/host.ts';
import { agentFile, findHome } from '../runtime/home.ts';
import { recoverHost, type RecoverResult } from '../runtime/recover.ts';

export interface RecoverArguments {
  readonly root: string;
  readonly product: string;
  readonly run?: string;
  readonly force?: boolean;
  readonly say: (line: string) => void;
}

/** Brings the host that lies below `root` back, with nothing but what lies on it. */
export async function recover({ root, product, run, force, say }: RecoverArguments): Promise<RecoverResult> {
  if (!namePattern.test(product)) throw new FairleadError({ class: 'request', code: 'product_invalid', message: `${product} is not a product's name.`, hint: 'Lower-case letters, digits, dots and dashes, for example noderax-platform.' });
  const at = resolve(root);
  const name = product as ProductName;
  const intent = await createHostStore(at).readIntent(name);
  const state = await createHostStore(at).readState(name);
  const record = intent ? await createHostStore(at).readRecovery(name, intent.runId) : null;
  const host = await composeHost({
    hostId: record?.host ?? ('this-host' as HostId),
    root: at,
    ports: 'manifest',
    // The router that serves this host already, whatever else is installed.
    router: existsSync(`${hostLayout(at, name).routerDir}/embedded/config.json`) ? 'embedded' : 'auto',
    services: state?.manager ?? 'embedded',
    routerAddress: state?.router?.address ?? '127.0.0.1',
    apiUrl: 'http://127.0.0.1:0',
    readKey: async () => '',
    routerEntry: [process.execPath, ...routerProgram()],
  });
  return recoverHost(host, { product: name, runId: (run as RunId | undefined) ?? null, force: force ?? false, say });
}

/** In a node's release the router's program is in the agent's file. */
export function routerProgram(): string[] {
  const built = join(findHome()?.directory ?? '/nowhere', agentFile);
  return existsSync(built) ? [built, 'router'] : [fileURLToPath(new URL('../adapters/router/embedded/router-process.ts', import.meta.url))];
}
