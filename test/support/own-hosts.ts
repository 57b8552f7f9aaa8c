import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { agentLayout, hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState, ServiceManagerKind } from '../../src/domain/host/state.ts';
import { ownProduct, type HostId, type InstanceName, type ReleaseId } from '../../src/domain/ids.ts';
import type { Role } from '../../src/domain/product/manifest.ts';
import type { InstanceStatus } from '../../src/ports/service-manager.ts';
import { composeHost } from '../../src/runtime/agent/host.ts';
import { adoptOwnProduct } from '../../src/runtime/install/own-product.ts';
import { stageNode } from '../../scripts/release/stage-node.ts';
import { createHostRoot } from './host-root.ts';

/** Room for an agent that starts on a busy machine; a dead-man is waited for in tests. */
export const deadManSlackSeconds = '10';

/** How long an instance may take until it is ready, and to end. A dead-man waits for both: one that is not there after that never will be. */
interface Limits {
  readonly startSeconds: number;
  readonly stopSeconds: number;
}

/** Nobody waits for long in a test. */
const shortened = ({ startSeconds, stopSeconds }: Limits): readonly [RegExp, string][] => [
  [/startSeconds: \d+/g, `startSeconds: ${startSeconds}`],
  [/seconds: 45/g, `seconds: ${stopSeconds}`],
  [/bakeSeconds: \d+/g, 'bakeSeconds: 1'],
  // The agent has nothing to drain.
  [/drainSeconds: [1-9]\d*/g, 'drainSeconds: 5'],
];

/** Releases of Fairlead's node, staged once and packed again under other names: the same programs, told apart by the manifest that lies with them. */
export interface OwnReleases {
  /** @param edit breaks the copy before it is packed. @returns the bundle's file */
  pack(releaseId: string, edit?: (directory: string) => Promise<void>): Promise<string>;
  end(): Promise<void>;
}

/**
 * @param stage puts the sources of a release into a directory; the node's by default
 */
export async function ownReleases(stage: (directory: string) => Promise<unknown> = stageNode, role: Role = 'node', limits: Limits = { startSeconds: 15, stopSeconds: 10 }): Promise<OwnReleases> {
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-own-'));
  const staged = join(work, 'staged');
  await fs.mkdir(staged);
  await stage(staged);
  const manifestFile = join(staged, 'fairlead.yaml');
  const text = await fs.readFile(manifestFile, 'utf8');
  await fs.writeFile(manifestFile, shortened(limits).reduce((so, [from, to]) => so.replaceAll(from, to), text));
  return {
    async pack(releaseId, edit) {
      const directory = join(work, releaseId);
      await fs.cp(staged, directory, { recursive: true });
      await edit?.(directory);
      const output = join(work, `${releaseId}-${role}.tar.gz`);
      await createBundle({ directory, releaseId: releaseId as ReleaseId, role, format: 'gz', output });
      await fs.rm(directory, { recursive: true, force: true });
      return output;
    },
    end: () => fs.rm(work, { recursive: true, force: true }),
  };
}

/** Where a host belongs to. */
export interface HomeOfHosts {
  readonly api: string;
  /** host:port */
  readonly temporal: string;
  /** An admin's. */
  readonly key: string;
}

/** A host whose Fairlead runs from a release and is an instance of its own service manager. */
export interface OwnHost {
  readonly name: string;
  readonly root: string;
  state(): Promise<HostState>;
  status(instance: string): Promise<InstanceStatus>;
  end(): Promise<void>;
}

/** What runs the agent: by default the host itself. */
export interface OwnHostOptions {
  readonly services?: Extract<ServiceManagerKind, 'embedded' | 'openrc'>;
  /** The directory in which the host is made. */
  readonly parent?: string;
  /** Called with the host's root before anything is started there. */
  readonly prepare?: (root: string) => Promise<void> | void;
}

export async function startOwnHost({ api, temporal, key }: HomeOfHosts, name: string, bundleFile: string, { services = 'embedded', parent, prepare }: OwnHostOptions = {}): Promise<OwnHost> {
  const { root, end } = await createHostRoot(parent);
  await prepare?.(root);
  const answer = await fetch(new URL('/api/keys', api), { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: JSON.stringify({ name, role: 'agent' }) });
  const created = (await answer.json()) as { text: string };
  if (answer.status !== 201) throw new Error(`no key for ${name}: ${JSON.stringify(created)}`);
  const { agentKeyFile, configDir } = agentLayout(root);
  await fs.mkdir(configDir, { recursive: true });
  await fs.writeFile(agentKeyFile, created.text, { mode: 0o600 });
  const settings = { FAIRLEAD_HOST_ID: name, FAIRLEAD_API_URL: api, FAIRLEAD_HOST_TEMPORAL: 'direct', FAIRLEAD_TEMPORAL_ADDRESS: temporal, FAIRLEAD_PORTS: 'free', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_SERVICES: services, FAIRLEAD_HEAL: 'report', FAIRLEAD_DEAD_MAN_SLACK_SECONDS: deadManSlackSeconds };
  await fs.writeFile(join(configDir, 'agent.env'), Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join(''), { mode: 0o600 });
  // Whatever other Node this machine has: the one that runs the test.
  await fs.writeFile(hostLayout(root, ownProduct).configFile('agent-main' as InstanceName), `PATH=${dirname(process.execPath)}:/usr/bin:/bin\n`, { mode: 0o600 });
  const host = await composeHost({ hostId: name as HostId, root, ports: 'free', router: 'embedded', services, routerAddress: '127.0.0.1', apiUrl: api, readKey: async () => created.text, routerEntry: [] });
  const said: string[] = [];
  try {
    await adoptOwnProduct(host, { bundleFile, say: (line) => said.push(line) });
  } catch (error) {
    await end();
    throw new Error(`${name} could not adopt ${bundleFile}:\n${said.join('\n')}`, { cause: error });
  }
  return {
    name,
    root,
    async state() {
      return JSON.parse(await fs.readFile(hostLayout(root, ownProduct).stateFile, 'utf8')) as HostState;
    },
    status: (instance) => host.services.status({ product: ownProduct, service: instance.slice(0, instance.lastIndexOf('-')) as never, instance: instance as InstanceName }),
    end,
  };
}
