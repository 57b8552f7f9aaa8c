import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { createBundle } from '../../src/adapters/bundle/create.ts';
import { signArtifact } from '../../src/adapters/bundle/signature.ts';
import type { ArtifactIdentity } from '../../src/domain/bundle/artifact.ts';
import { hostLayout, type HostLayout } from '../../src/domain/host/layout.ts';
import type { HostState } from '../../src/domain/host/state.ts';
import type { ProductName, ReleaseId } from '../../src/domain/ids.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { uploadSeconds } from './checkpoints.ts';
import { startDev, type DevOptions, type RunningDev } from '../../src/runtime/dev/index.ts';
import { payloadCodecOf } from '../../src/runtime/payload-codec.ts';

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const exampleProduct = 'noderax-platform' as ProductName;

export interface PublishOptions {
  /** `faults.json` of the example product. */
  readonly faults?: Record<string, unknown>;
  /** Changes the copied directory before it is bundled. */
  readonly edit?: (directory: string) => Promise<void>;
  readonly format?: 'gz' | 'zst';
  readonly channel?: 'stable' | 'beta' | 'edge';
}

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Stack {
  readonly dir: string;
  readonly dev: RunningDev;
  /** What `fairlead dev` said while it ran: deaths and restarts among it. */
  readonly said: readonly string[];
  readonly product: ProductName;
  /** An admin's. */
  readonly key: string;
  layout(host: string): HostLayout;
  state(host: string): Promise<HostState>;
  /** The address that clients of the product use on a host. */
  address(host: string): Promise<string>;
  /** Asks the API; the answer's JSON. */
  ask<T = Record<string, unknown>>(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<{ readonly status: number; readonly body: T }>;
  /** Bundles the example product as `releaseId`, signs and publishes it. Gives the bundle's file. */
  publish(releaseId: string, options?: PublishOptions): Promise<string>;
  /** Starts an update and gives its run id. */
  start(host: string, releaseId: string, more?: Record<string, unknown>): Promise<string>;
  /** The report, once the run has ended. @param workflowId of a run that this did not start */
  report(runId: string, limitMs?: number, workflowId?: string): Promise<RunReport>;
  /** Starts an update and waits for its report. */
  apply(host: string, releaseId: string, more?: Record<string, unknown>): Promise<RunReport>;
  /** Starts a promotion and waits for its report. */
  promote(host: string, more?: Record<string, unknown>): Promise<RunReport>;
  /** Runs the real command. */
  fairlead(...args: string[]): Promise<CommandResult>;
  end(): Promise<void>;
}

/** The settings of a run that a test does not want to wait for. */
export const quick = { bakeSeconds: 0 };

/** An edit of an example: how long each instance may take to be ready. */
export const startWithin = (seconds: number) => async (directory: string): Promise<void> => {
  const file = join(directory, 'fairlead.yaml');
  await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replaceAll(/startSeconds: \d+/g, `startSeconds: ${seconds}`));
};

/** One that is not ready after three seconds never will be. */
export const shortStart = startWithin(3);

/** An edit of the example with drains that are no longer than the longest upload needs: a WebSocket that stays open holds one up to its bound, which is long in the example. */
export async function shortDrain(directory: string): Promise<void> {
  const file = join(directory, 'fairlead.yaml');
  await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replaceAll(/drainSeconds: \d+/g, `drainSeconds: ${uploadSeconds + 4}`));
}

/**
 * A whole Fairlead on free ports below a new directory: PostgreSQL, Temporal, control, API and hosts, each a process.
 * @param options.codecKeyFile has every process encrypt payloads, and this client open them
 * @param options.start in place of `startDev`: `startDevProgram` has the supervisor be a process too, which can be killed with the others
 */
export async function startStack(options: { readonly hosts?: number; readonly controllers?: number; readonly dir?: string; readonly example?: string; readonly replace?: DevOptions['replace']; readonly start?: typeof startDev; readonly codecKeyFile?: string } = {}): Promise<Stack> {
  const dir = options.dir ?? (await fs.mkdtemp(join(tmpdir(), 'fairlead-stack-')));
  await fs.chmod(dir, 0o755);
  const said: string[] = [];
  const dev = await (options.start ?? startDev)({
    dir,
    hosts: options.hosts ?? 1,
    ...(options.controllers ? { controllers: options.controllers } : {}),
    env: process.env,
    say: (line) => said.push(line),
    replace: { anyPorts: true, ...options.replace, env: { ...options.replace?.env, ...(options.codecKeyFile ? { FAIRLEAD_TEMPORAL_CODEC_KEY_FILE: options.codecKeyFile } : {}) } },
  });
  const key = (await fs.readFile(dev.summary.adminKeyFile, 'utf8')).trim();
  const product = exampleProduct;
  const temporal = Connection.lazy({ address: dev.summary.temporal });
  const codec = options.codecKeyFile ? payloadCodecOf({ codec: { keyFile: options.codecKeyFile, seals: true } }) : null;
  const client = new Client({ connection: temporal, ...(codec ? { dataConverter: { payloadCodecs: [codec] } } : {}) });
  const workflowIds = new Map<string, string>();
  const hostOf = (host: string) => {
    const found = dev.summary.hosts.find((known) => known.host === host);
    if (!found) throw new Error(`the stack has no host ${host}`);
    return found;
  };
  const layout = (host: string) => hostLayout(hostOf(host).root, product);

  const stack: Stack = {
    dir,
    dev,
    said,
    product,
    key,
    layout,
    async state(host) {
      return JSON.parse(await fs.readFile(layout(host).stateFile, 'utf8')) as HostState;
    },
    async address(host) {
      return `http://127.0.0.1:${(await stack.state(host)).router?.port}`;
    },
    async ask(method, path, body, more = {}) {
      const headers: Record<string, string> = { authorization: `Bearer ${key}`, ...more };
      if (body !== undefined) headers['content-type'] = 'application/json';
      const answer = await send(new URL(path, dev.summary.api), method, headers, body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
      return { status: answer.status, body: JSON.parse(answer.text || 'null') as never };
    },
    async publish(releaseId, { faults, edit, format = 'zst', channel } = {}) {
      const directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-release-'));
      const file = join(dir, `${releaseId}.tar.${format}`);
      try {
        await fs.cp(options.example ?? join(project, 'examples/noderax-platform'), directory, { recursive: true });
        if (faults) await fs.writeFile(join(directory, 'faults.json'), JSON.stringify(faults));
        await edit?.(directory);
        const artifact = await createBundle({ directory, releaseId: releaseId as ReleaseId, format, output: file });
        const { product: name, role, profile, sizeBytes, sha256, fileListSha256 } = artifact;
        const identity: ArtifactIdentity = { product: name, releaseId: artifact.releaseId, role, profile, format, sizeBytes, sha256, fileListSha256 };
        const signature = signArtifact(identity, await fs.readFile(dev.summary.publisherKeyFile, 'utf8'));
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/octet-stream', 'x-fairlead-signature': JSON.stringify(signature), ...(channel ? { 'x-fairlead-channel': channel } : {}) };
        const answer = await send(new URL('/api/releases', dev.summary.api), 'POST', headers, await fs.readFile(file));
        if (answer.status > 201) throw new Error(`publishing ${releaseId} was answered with ${answer.status}: ${answer.text}`);
      } finally {
        await fs.rm(directory, { recursive: true, force: true });
      }
      return file;
    },
    async start(host, releaseId, more = {}) {
      const answer = await stack.ask<{ runId?: string }>('POST', '/api/updates/apply', { host, product, releaseId, ...quick, ...more });
      if (answer.status !== 202 || !answer.body.runId) throw new Error(`applying ${releaseId} was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
      workflowIds.set(answer.body.runId, `host/${host}/${product}`);
      return answer.body.runId;
    },
    async report(runId, limitMs = 300_000, workflowId = workflowIds.get(runId) ?? '') {
      // Asked of the orchestrator, which is the last to know: the API could be asked as well, and each look costs a query of the workflow.
      const deadline = performance.now() + limitMs;
      for (let lastError: unknown = null; ; ) {
        if (performance.now() > deadline) throw new Error(`run ${runId} had not ended after ${limitMs} ms\n${said.join('\n')}`, { cause: lastError });
        try {
          return (await temporal.withDeadline(Date.now() + limitMs, () => client.workflow.getHandle(workflowId, runId).result())) as RunReport;
        } catch (error) {
          if (error instanceof WorkflowFailedError) throw error;
          lastError = error; // Some tests kill the server while this waits.
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      }
    },
    async promote(host, more = {}) {
      const answer = await stack.ask<{ runId: string; workflowId: string }>('POST', '/api/promotions', { host, product, ...quick, ...more });
      if (answer.status !== 202) throw new Error(`the promotion was not accepted: ${answer.status} ${JSON.stringify(answer.body)}`);
      workflowIds.set(answer.body.runId, answer.body.workflowId);
      return stack.report(answer.body.runId);
    },
    async apply(host, releaseId, more = {}) {
      return stack.report(await stack.start(host, releaseId, more));
    },
    fairlead(...args) {
      return runCommand([join(project, 'bin/fairlead'), ...args], { ...process.env, FAIRLEAD_API_URL: dev.summary.api, FAIRLEAD_API_KEY_FILE: dev.summary.adminKeyFile });
    },
    async end() {
      await temporal.close();
      await dev.stop();
      if (!options.dir) await fs.rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return stack;
}

/** Runs a command to its end. */
export function runCommand(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0] as string, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

function send(url: URL, method: string, headers: Record<string, string>, body?: Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: { ...headers, ...(body ? { 'content-length': String(body.length) } : {}) }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    sent.setTimeout(30_000, () => sent.destroy(new Error(`${url.href} did not answer within 30 s`)));
    sent.on('error', reject);
    sent.end(body);
  });
}
