import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmod, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';

const example = join(import.meta.dirname, '../../examples/bloom-runtime');
const runtimeKey = 'runtime-key-0123456789';
const adminKey = 'abcd-admin-key-of-the-file-wxyz';

/** The example server as a process of its own, on keys and state of this test. */
describe('the example bloom-runtime', () => {
  let dir: string;
  let port: number;
  let log = '';
  const running = new Set<ChildProcess>();

  const envFile = () => join(dir, '.env.production');
  const environment = () => ({ PATH: process.env['PATH'] ?? '', PORT: String(port), ENV_FILE: envFile(), FAIRLEAD_STATE_DIR: dir, FAIRLEAD_INSTANCE: 'bloom-runtime/runtime-a' });

  async function start(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [join(example, 'server.mjs')], { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (log += text));
    await eventually('it answers', async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok);
    return child;
  }
  async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    running.delete(child);
    return ended;
  }
  async function ask(method: string, path: string, body?: unknown, key: string | null = runtimeKey) {
    const headers = { connection: 'close', ...(key === null ? {} : { 'x-runtime-api-key': key }) };
    const response = await fetch(`http://127.0.0.1:${port}/api/runtime/${path}`, { method, headers, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }) });
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) as Record<string, unknown> };
  }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fairlead-bloom-'));
    port = await freePort();
    log = '';
    await writeFile(envFile(), `RUNTIME_API_KEY='${runtimeKey}'\nMEMBRIDGE_ADMIN_KEY='${adminKey}'\n`, { mode: 0o600 });
  });
  afterEach(async () => {
    for (const child of running) await stop(child, 'SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  test('a missing key, a wrong one, one of another length: refused; the right one: answered', async () => {
    await start();
    for (const key of [null, '', 'x', `${runtimeKey}x`, runtimeKey.replace('9', '8'), runtimeKey.slice(0, -1)]) {
      expect([key, (await ask('GET', 'stats', undefined, key)).status]).toEqual([key, 401]);
      expect((await ask('GET', 'does-not-exist', undefined, key)).status).toBe(401);
    }
    expect(await ask('GET', 'stats')).toMatchObject({ status: 200, body: { tasks: { total: 0 } } });
  });

  test('no key is set: open, and the log says so', async () => {
    await writeFile(envFile(), '', { mode: 0o600 });
    await start();
    expect((await ask('GET', 'stats', undefined, null)).status).toBe(200);
    expect(log).toContain('RUNTIME_API_KEY is not set');
  });

  test('a file of keys that others can read: not started, and an update to it is refused by its preflight', async () => {
    await chmod(envFile(), 0o640);
    const { status, stderr } = spawnSync(process.execPath, [join(example, 'server.mjs')], { env: environment(), encoding: 'utf8', timeout: 10_000 });
    expect([status, stderr]).toEqual([1, `runtime-a: cannot start: ${envFile()} can be read by others (mode 0640): chmod 600 ${envFile()}\n`]);
    const preflight = () => spawnSync(process.execPath, [join(example, 'hooks/preflight.mjs')], { env: { ...environment(), FAIRLEAD_CONFIG_DIR: dir }, encoding: 'utf8' });
    expect(preflight()).toMatchObject({ status: 1, stderr: expect.stringContaining('can be read by others') });
    await chmod(envFile(), 0o600);
    expect(preflight()).toMatchObject({ status: 0, stdout: expect.stringContaining('2 keys') });
  });

  test('keys are shown masked, short ones not at all, and stand in no answer and no log', async () => {
    const child = await start();
    expect((await ask('GET', 'config')).body).toMatchObject({ admin_key_masked: 'abcd****wxyz', connected: false, last_test: null });
    expect((await ask('POST', 'config', { membridge_admin_key: 'a-new-key-for-the-upstream' })).body).toMatchObject({ admin_key_masked: 'a-ne****ream' });
    expect((await ask('POST', 'config', { membridge_admin_key: 'short-key' })).body).toMatchObject({ admin_key_masked: '****' });
    const said = (await Promise.all(['config', 'audit', 'stats', 'llm-tasks'].map((path) => ask('GET', path)))).map(({ text }) => text).join('');
    await stop(child);
    for (const secret of [runtimeKey, adminKey, 'a-new-key-for-the-upstream', 'short-key']) expect(said + log).not.toContain(secret);
    expect((await stat(join(dir, 'data/settings.json'))).mode & 0o777).toBe(0o600);
  });

  test('state survives a graceful end and a SIGKILL: tasks, settings, audit', async () => {
    const first = await start();
    const { status, body: task } = await ask('POST', 'llm-tasks', { prompt: 'one' });
    expect(status).toBe(201);
    await ask('POST', 'config', { membridge_server_url: 'http://127.0.0.1:9' });
    expect(await stop(first)).toBe(0);
    const second = await start();
    await ask('POST', 'llm-tasks', { prompt: 'two' });
    await stop(second, 'SIGKILL');
    await start();
    expect((await ask('GET', `llm-tasks/${String(task['id'])}`)).body).toMatchObject({ prompt: 'one', status: 'queued' });
    expect((await ask('GET', 'stats')).body).toMatchObject({ tasks: { total: 2 } });
    expect((await ask('GET', 'config')).body).toMatchObject({ membridge_server_url: 'http://127.0.0.1:9', admin_key_masked: 'abcd****wxyz' });
    expect((JSON.parse((await ask('GET', 'audit')).text) as { action: string }[]).map(({ action }) => action)).toEqual(['task_created', 'config_changed', 'task_created']);
  });

  test.each([
    ['no JSON', 'config', '{', 400],
    ['no object', 'config', '[]', 400],
    ['nothing to set', 'config', {}, 400],
    ['an address with a password', 'config', { membridge_server_url: 'http://me:secret@127.0.0.1' }, 400],
    ['an address of a file', 'config', { membridge_server_url: 'file:///etc/passwd' }, 400],
    ['a key with a line end', 'config', { membridge_admin_key: 'a-key-with\nx-evil: 1' }, 400],
    ['a task without a prompt', 'llm-tasks', { prompt: '' }, 400],
    ['a body of more than 64 KiB', 'llm-tasks', { prompt: 'x'.repeat(70_000) }, 413],
  ])('%s: refused, nothing is stored', async (_, path, body, status) => {
    await start();
    expect((await ask('POST', path, body)).status).toBe(status);
    expect((await ask('GET', 'stats')).body).toMatchObject({ tasks: { total: 0 } });
    await expect(stat(join(dir, 'data/settings.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  describe('its upstream', () => {
    let upstream: Server;
    const seen: IncomingHttpHeaders[] = [];
    afterEach(() => {
      upstream.closeAllConnections();
      upstream.close();
    });

    test('is told the key, and the test is remembered; one that is away is said to be', async () => {
      upstream = createServer((request, response) => {
        seen.push(request.headers);
        response.end(JSON.stringify({ status: 'ok', service: 'membridge-control-plane' }));
      });
      await new Promise<void>((listening) => upstream.listen(0, '127.0.0.1', listening));
      await start();
      await ask('POST', 'config', { membridge_server_url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` });
      expect((await ask('POST', 'test-connection')).body).toMatchObject({ connected: true, health: { status: 'ok' } });
      expect(seen.at(-1)?.['x-membridge-admin']).toBe(adminKey);
      expect((await ask('GET', 'config')).body).toMatchObject({ connected: true, last_test: expect.any(String) });
      upstream.closeAllConnections();
      await new Promise((closed) => upstream.close(closed));
      expect((await ask('POST', 'test-connection')).body).toMatchObject({ connected: false });
      expect((await ask('GET', 'config')).body).toMatchObject({ connected: false });
    });
  });

  test('its release is read from its own manifest', async () => {
    await start();
    const declared = /^releaseId:\s*"([^"]+)"/m.exec(await readFile(join(example, 'fairlead.yaml'), 'utf8'))?.[1];
    expect(await (await fetch(`http://127.0.0.1:${port}/health/ready`)).json()).toEqual({ status: 'ready', releaseId: declared, instance: 'runtime-a' });
    const copy = join(dir, 'copy');
    await cp(example, copy, { recursive: true });
    await writeFile(join(copy, 'faults.json'), JSON.stringify({ crashAtStart: true, only: 'runtime-a' }));
    expect(spawnSync(process.execPath, [join(copy, 'server.mjs')], { env: environment(), encoding: 'utf8', timeout: 10_000 })).toMatchObject({ status: 1, stderr: expect.stringContaining('crashAtStart') });
  });
});
