import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type Connection } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { quietRuntime } from '../../scripts/release/replay.ts';
import { developmentServerCommand, whatTemporalLacks } from '../../src/adapters/temporal-server/index.ts';
import { createAgentConnection } from '../../src/adapters/temporal/agent-connection.ts';
import { ensureTemporalCli } from '../../src/runtime/toolchain.ts';
import { eventually } from './eventually.ts';
import { freePorts } from './host-root.ts';

export interface TestTemporal {
  readonly address: string;
  readonly client: Client;
  /** A connection of its own, as an agent has one. Closed by `end`. */
  connect(): Connection;
  /** SIGKILL; what it knows is in a file. */
  kill(): Promise<void>;
  start(): Promise<void>;
  end(): Promise<void>;
}

/**
 * A real development server with a database file, and a worker for workflows of `test/support/workflows`.
 * @param options.workflows the file there @param options.activities what the same worker does on the same queue @param options.codec what worker and client encrypt payloads with
 */
export async function startTemporal(taskQueue: string, { workflows = 'index.ts', activities = {}, codec = null }: { readonly workflows?: string; readonly activities?: object; readonly codec?: PayloadCodec | null } = {}): Promise<TestTemporal> {
  const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-temporal-'));
  const cli = (await ensureTemporalCli(process.env, () => undefined)).path;
  const [port, uiPort] = (await freePorts(2)) as [number, number];
  const address = `127.0.0.1:${port}`;
  let server: ChildProcess | null = null;

  async function start(): Promise<void> {
    const [command = '', ...argv] = developmentServerCommand({ cli, databaseFile: join(directory, 'temporal.db'), port, uiPort, namespace: 'default' });
    server = spawn(command, argv, { stdio: 'ignore' });
    await eventually('the Temporal server answers', async () => (await whatTemporalLacks(address, 'default', 2_000)) === null, 60_000);
  }
  async function kill(): Promise<void> {
    const running = server;
    server = null;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  }

  await start();
  const connections: Connection[] = [];
  const connect = (): Connection => {
    const connection = createAgentConnection(address);
    connections.push(connection);
    return connection;
  };
  quietRuntime();
  const native = await NativeConnection.connect({ address });
  const dataConverter = codec === null ? {} : { dataConverter: { payloadCodecs: [codec] } };
  const worker = await Worker.create({ connection: native, taskQueue, ...dataConverter, workflowsPath: fileURLToPath(new URL(`workflows/${workflows}`, import.meta.url)), activities });
  const working = worker.run();
  return {
    address,
    client: new Client({ connection: connect(), ...dataConverter }),
    connect,
    kill,
    start,
    async end() {
      if (server === null) await start(); // The worker ends by telling the server.
      worker.shutdown();
      await working;
      await native.close();
      await Promise.all(connections.map((connection) => connection.close()));
      await Runtime.instance().shutdown();
      await kill();
      await fs.rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
