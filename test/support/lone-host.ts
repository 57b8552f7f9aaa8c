import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostDependencies } from '../../activities/host/dependencies.ts';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { findByEnvironment, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { HostId, ReleaseId } from '../../src/domain/ids.ts';
import { agentCommand, agentEnvironment } from '../../src/runtime/agent-command.ts';
import { composeHost } from '../../src/runtime/agent/host.ts';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { startArtifactServer } from './artifact-server.ts';
import { eventually } from './eventually.ts';
import { createHostRoot, freePort } from './host-root.ts';
import { cutDown } from './matrix-product.ts';
import { exampleProduct as product, project } from './stack.ts';
import type { Packed } from './walked-product.ts';

/** Whatever is asked of a host whose agent has just been started is answered within this. */
export const servesMs = 30_000;

/** Releases of the example product, cut down, and a server that hands them out: what lone hosts install. */
export interface LoneReleases {
  readonly packed: readonly Packed[];
  readonly artifacts: HostDependencies['artifacts'];
  readonly agentFile: string;
  artifactOf(releaseId: string): Packed['artifact'];
  end(): Promise<void>;
}

/** @param releases by name, what is changed in the copy of the example before it is packed */
export async function packReleases(releases: Readonly<Record<string, (directory: string) => Promise<void>>>): Promise<LoneReleases> {
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-alone-'));
  const { file: agentFile } = await buildAgent();
  const packed = await Promise.all(
    Object.entries(releases).map(async ([releaseId, edit]): Promise<Packed> => {
      const directory = await fs.mkdtemp(join(work, `source-${releaseId}-`));
      await fs.cp(join(project, 'examples/noderax-platform'), directory, { recursive: true });
      await cutDown(directory);
      await edit(directory);
      const output = join(work, `${releaseId}.tar.zst`);
      return { file: output, artifact: await createBundle({ directory, releaseId: releaseId as ReleaseId, format: 'zst', output }) };
    }),
  );
  const server = await startArtifactServer(packed);
  return {
    packed,
    artifacts: server.artifacts,
    agentFile,
    artifactOf: (releaseId) => (packed.find(({ artifact }) => artifact.releaseId === releaseId) as Packed).artifact,
    async end() {
      await server.end();
      await fs.rm(work, { recursive: true, force: true });
    },
  };
}

/** A host of real processes. Steps are taken in the test's process, as a run would; the agent is a process of its own that nobody answers. */
export interface LoneHost {
  readonly root: string;
  readonly host: HostDependencies;
  state(): Promise<HostState>;
  /** Everything of the host dies at once, the agent too. The disk is left as it is: what a cut does to that is another suite's subject. */
  cutPower(): Promise<void>;
  startAgent(): Promise<void>;
  endAgent(): Promise<void>;
  /** Clients get an answer from a release that is complete. @returns that release */
  served(): Promise<string>;
  end(): Promise<void>;
}

export async function startLoneHost({ artifacts, agentFile }: LoneReleases): Promise<LoneHost> {
  const place = await createHostRoot();
  const { root } = place;
  const routerEntry = [process.execPath, agentFile, 'router'];
  const composed = await composeHost({ hostId: 'h1' as HostId, root, ports: 'free', router: 'embedded', services: 'embedded', routerAddress: '127.0.0.1', apiUrl: 'http://127.0.0.1:1', readKey: async () => 'none', routerEntry });
  const host: HostDependencies = { ...composed, artifacts };
  let agent: ChildProcess | null = null;

  async function endAgent(): Promise<void> {
    const child = agent;
    agent = null;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  const state = async (): Promise<HostState> => (await host.store.readState(product)) as HostState;

  return {
    root,
    host,
    state,
    endAgent,
    async cutPower() {
      await endAgent();
      // Until nobody is left: one that was looked at may have started another before its end.
      for (let all = await findByEnvironment({ FAIRLEAD_ROOT: root }); all.length > 0; all = await findByEnvironment({ FAIRLEAD_ROOT: root })) {
        for (const victim of all) await signalProcess(victim, 'SIGKILL');
        for (const victim of all) if (!(await waitForEnd(victim, 5_000))) throw new Error(`process ${victim.pid} survived SIGKILL`);
      }
    },
    async startAgent() {
      const closed = await freePort();
      const [file = '', ...argv] = agentCommand(agentFile);
      agent = spawn(file, argv, {
        env: {
          PATH: process.env['PATH'] ?? '', ...agentEnvironment, FAIRLEAD_ROLE: 'node', FAIRLEAD_HOST_ID: 'h1', FAIRLEAD_ROOT: root, FAIRLEAD_API_URL: `http://127.0.0.1:${closed}`, FAIRLEAD_API_KEY: 'none',
          FAIRLEAD_GATEWAY_ADDRESS: `127.0.0.1:${closed}`, FAIRLEAD_GATEWAY_TLS: 'off', FAIRLEAD_PORTS: 'free', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_HEALTH_LISTEN: '127.0.0.1:0', FAIRLEAD_LOG_LEVEL: 'warn',
        },
        stdio: 'ignore',
      });
    },
    async served() {
      const port = (await state()).router?.port;
      const releaseId = await eventually(
        'an answer through the router',
        async () => {
          const answer = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(2_000) });
          return answer.status === 200 ? ((await answer.json()) as { releaseId: string }).releaseId : null;
        },
        servesMs,
      );
      if (!(await host.releases.isComplete(product, releaseId as ReleaseId))) throw new Error(`release ${releaseId} answers and is not complete`);
      return releaseId;
    },
    async end() {
      await endAgent();
      await place.end();
    },
  };
}
