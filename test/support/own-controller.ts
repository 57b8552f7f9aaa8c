import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { makeKeyText } from '../../src/adapters/postgres/key-text.ts';
import { findByEnvironment, readCommandLine, type ScannedProcess } from '../../src/adapters/process/proc.ts';
import { developmentServerCommand, whatTemporalLacks } from '../../src/adapters/temporal-server/index.ts';
import { agentLayout, hostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import { ownProduct, type HostId, type InstanceName } from '../../src/domain/ids.ts';
import { composeHost } from '../../src/runtime/agent/host.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { adoptOwnProduct } from '../../src/runtime/install/own-product.ts';
import { ensureTemporalCli } from '../../src/runtime/toolchain.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import { stageOwnAgent } from '../../scripts/release/stage-controller.ts';
import { eventually } from './eventually.ts';
import { createHostRoot, freePorts } from './host-root.ts';
import { deadManSlackSeconds, ownReleases, type OwnReleases } from './own-hosts.ts';
import { startPostgres } from './postgres.ts';
import { project, runCommand, type CommandResult } from './stack.ts';

export const controllerInstances = ['agent-main', 'api-a', 'api-b', 'control-a', 'control-b'] as const;

/** A controller whose API and control worker run from a release, two of each behind a router, and its agent with them; PostgreSQL and Temporal are beside it. */
export interface OwnController {
  readonly releases: OwnReleases;
  readonly api: string;
  /** host:port */
  readonly temporal: string;
  /** For the whole fleet: an admin's. */
  readonly key: string;
  state(): Promise<HostState>;
  /** Processes of Fairlead that run the code of this part now, without those that watch over them. */
  processes(part: 'api' | 'control' | 'agent'): Promise<ScannedProcess[]>;
  ask<Body>(path: string): Promise<Body>;
  fairlead(...words: string[]): Promise<CommandResult>;
  end(): Promise<void>;
}

/** The sources alone: packages are found beside the host's files, or packing 137 MB of them would be most of a test. */
async function stageSources(directory: string, ports: readonly number[]): Promise<void> {
  for (const path of ['src', 'activities', 'workflows', 'workers', 'package.json', 'package-lock.json']) await fs.cp(join(project, path), join(directory, path), { recursive: true });
  const workflows = await workflowBundle();
  await fs.mkdir(join(directory, 'dist'));
  await fs.copyFile(workflows, join(directory, 'dist', basename(workflows)));
  await stageOwnAgent(directory);
  await fs.writeFile(join(directory, 'bin/fairlead'), '#!/bin/sh\nset -eu\nroot=$(CDPATH="" cd -P "$(dirname "$0")/.." && pwd -P)\nexec node --disable-warning=ExperimentalWarning "$root/src/cli/main.ts" "$@"\n', { mode: 0o755 });
  const text = await fs.readFile(join(project, 'deploy/release/fairlead.yaml'), 'utf8');
  const named = ['8431', '8432', '8441', '8442', '8420', '8421'];
  const fixed = text.replaceAll(/\b84\d\d\b/g, (port) => String(ports[named.indexOf(port)] ?? port));
  await fs.writeFile(join(directory, 'fairlead.yaml'), fixed);
}

export async function startOwnController(firstRelease: string): Promise<OwnController> {
  const [temporalPort, uiPort, ...ports] = (await freePorts(8)) as [number, number, ...number[]];
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-controller-'));
  const [postgres, releases, { root, end: endRoot }, { file: agentFile }, cli] = await Promise.all([startPostgres(), ownReleases((directory) => stageSources(directory, ports), 'controller', { startSeconds: 40, stopSeconds: 15 }), createHostRoot(), buildAgent(), ensureTemporalCli(process.env, () => undefined)]);
  await fs.symlink(join(project, 'node_modules'), join(root, 'node_modules'));
  const temporal = `127.0.0.1:${temporalPort}`;
  const children: ChildProcess[] = [];
  const start = (argv: readonly string[], env: NodeJS.ProcessEnv): void => void children.push(spawn(argv[0] as string, argv.slice(1), { env, stdio: 'ignore' }));
  start(developmentServerCommand({ cli: cli.path, databaseFile: join(work, 'temporal.db'), port: temporalPort, uiPort, namespace: 'default' }), { ...process.env });
  await eventually('Temporal answers', async () => (await whatTemporalLacks(temporal, 'default', 2_000)) === null, 60_000);

  const { configDir, agentKeyFile } = agentLayout(root);
  const keysDir = join(work, 'agent-keys');
  const adminKeyFile = join(work, 'admin.key');
  const [adminKey, agentKey] = [makeKeyText('admin'), makeKeyText('agent')];
  for (const directory of [configDir, keysDir]) await fs.mkdir(directory, { recursive: true });
  await fs.writeFile(adminKeyFile, adminKey, { mode: 0o600 });
  for (const file of [agentKeyFile, join(keysDir, 'c1.key')]) await fs.writeFile(file, agentKey, { mode: 0o600 });
  await fs.writeFile(join(configDir, 'gateway-seal.keys'), `k1 ${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const api = `http://127.0.0.1:${ports[4]}`;
  const settings = { FAIRLEAD_DATABASE_URL: await postgres.createDatabase(), FAIRLEAD_TEMPORAL_ADDRESS: temporal, FAIRLEAD_ADMIN_KEY_FILE: adminKeyFile, FAIRLEAD_AGENT_KEYS_DIR: keysDir, FAIRLEAD_ARTIFACTS_DIR: join(work, 'artifacts'), FAIRLEAD_API_URL: api };
  const agentSettings = { FAIRLEAD_HOST_ID: 'c1', FAIRLEAD_API_URL: api, FAIRLEAD_HOST_TEMPORAL: 'direct', FAIRLEAD_TEMPORAL_ADDRESS: temporal, FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_ROUTER_ADDRESS: '127.0.0.1', FAIRLEAD_HEAL: 'report', FAIRLEAD_DEAD_MAN_SLACK_SECONDS: deadManSlackSeconds };
  for (const [file, values] of [['controller.env', settings], ['agent.env', agentSettings]] as const) await fs.writeFile(join(configDir, file), Object.entries(values).map(([name, value]) => `${name}=${value}\n`).join(''), { mode: 0o600 });
  for (const instance of controllerInstances) await fs.writeFile(hostLayout(root, ownProduct).configFile(instance as InstanceName), `PATH=${dirname(process.execPath)}:/usr/bin:/bin\n`, { mode: 0o600 });

  const routerEntry = [process.execPath, agentFile, 'router'];
  const host = await composeHost({ hostId: 'c1' as HostId, root, ports: 'manifest', router: 'embedded', services: 'embedded', routerAddress: '127.0.0.1', apiUrl: api, readKey: async () => agentKey, routerEntry });
  const end = async (): Promise<void> => {
    for (const child of children) child.kill('SIGKILL');
    await endRoot();
    await postgres.end();
    await releases.end();
    await fs.rm(work, { recursive: true, force: true, maxRetries: 5 });
  };
  const ask = async <Body>(path: string): Promise<Body> => (await (await fetch(`${api}${path}`, { headers: { authorization: `Bearer ${adminKey}` } })).json()) as Body;
  try {
    await adoptOwnProduct(host, { bundleFile: await releases.pack(firstRelease), say: () => undefined });
    await eventually('the controller has seen its own host', async () => (await ask<{ status?: string }>('/api/hosts/c1')).status === 'connected', 60_000);
  } catch (error) {
    const logs = await Promise.all(controllerInstances.map((name) => fs.readFile(hostLayout(root, ownProduct).logFile(name as InstanceName), 'utf8').catch(() => '')));
    await end();
    throw new Error(`the controller did not start:\n${logs.map((log) => log.slice(-1_500)).join('\n---\n')}`, { cause: error });
  }
  return {
    releases,
    api,
    temporal,
    key: adminKey,
    ask,
    end,
    async state() {
      return JSON.parse(await fs.readFile(hostLayout(root, ownProduct).stateFile, 'utf8')) as HostState;
    },
    async processes(part) {
      const all = await findByEnvironment({ FAIRLEAD_ROOT: root, FAIRLEAD_PRODUCT: 'fairlead', FAIRLEAD_SERVICE: part });
      const lines = await Promise.all(all.map(({ pid }) => readCommandLine(pid)));
      return all.filter((_process, at) => lines[at]!.includes(part === 'agent' ? 'lib/agent.mjs' : `workers/${part}.ts`));
    },
    fairlead: (...words) => runCommand([join(project, 'bin/fairlead'), ...words], { ...process.env, FAIRLEAD_API_URL: api, FAIRLEAD_API_KEY_FILE: adminKeyFile }),
  };
}
