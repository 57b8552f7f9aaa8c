import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findByWorkingDirectory, signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import type { InstanceName, ServiceName } from '../../src/domain/ids.ts';
import type { Router, RouterState } from '../../src/ports/router.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { startLoad } from '../support/load.ts';
import { describeWith } from '../support/requirement.ts';
import { createRouterBed, product, repository, routerEntry, routerKinds, startUpstream, type Upstream } from '../support/router-bed.ts';

for (const kind of routerKinds) {
  describeWith(kind.requires, `router: ${kind.name}`, () => {
    let bed: Awaited<ReturnType<typeof createRouterBed>>;
    let root: string;
    let router: Router;
    let port: number;
    let upstreams: Upstream[];
    let ends: (() => Promise<unknown> | unknown)[];

    beforeEach(async () => {
      ends = [];
      bed = await createRouterBed(kind, ['api-a', 'api-b', 'web-a']);
      ({ root, router, port, upstreams } = bed);
    });
    afterEach(async () => {
      for (const end of ends) await end();
      await bed.end();
    });

    const url = (path: string) => bed.url(path);
    const ask = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(url(path), { ...init, headers: { connection: 'close', ...(init.headers as Record<string, string>) } });
      return { status: response.status, headers: response.headers, text: await response.text() };
    };
    const askJson = async (path: string, init?: RequestInit) => JSON.parse((await ask(path, init)).text) as { name: string; method: string; url: string; bytes: number; headers: Record<string, string> };
    const whoAnswers = async (path: string) => new Set(await Promise.all(Array.from({ length: 12 }, async () => (await askJson(path)).name)));
    const stateWith = (admitted: readonly string[], change?: Partial<RouterState>): RouterState => bed.stateWith(admitted, change);
    const all = ['api-a', 'api-b', 'web-a'];
    /** The processes of the router once no more appear: nginx serves before it has made its last worker. */
    const steadyPids = async (): Promise<number[]> => {
      const look = async () => (await kind.find(root)).map(({ pid }) => pid).sort();
      return eventually('no process of the router is added', async () => {
        const found = await look();
        await new Promise((resolve) => setTimeout(resolve, 200));
        return String(await look()) === String(found) && found;
      });
    };
    /** Something that holds a port, so that the router cannot have it. */
    const occupy = async (): Promise<number> => {
      const server: Server = createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ends.push(() => server.close());
      const address = server.address();
      return typeof address === 'object' && address ? address.port : 0;
    };

    test('apply starts it; requests go by the longest prefix, to every admitted member, with who asked', async () => {
      expect(await router.apply(stateWith(all))).toBe('applied');
      expect(await whoAnswers('/api/rows')).toEqual(new Set(['api-a', 'api-b']));
      expect(await whoAnswers('/')).toEqual(new Set(['web-a']));
      const { headers, url: passedUrl } = await askJson('/api/rows?x=%2F1', { headers: { 'x-forwarded-for': '192.0.2.7' } });
      expect(passedUrl).toBe('/api/rows?x=%2F1');
      expect(headers).toMatchObject({ host: `127.0.0.1:${port}`, 'x-forwarded-for': '192.0.2.7, 127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${port}` });
      expect((await ask('/')).headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    });

    test('the same state again: unchanged, and no process is replaced', async () => {
      await router.apply(stateWith(all));
      const before = await steadyPids();
      expect(await router.apply(stateWith(all))).toBe('unchanged');
      expect(await kind.create(root).apply(stateWith(all))).toBe('unchanged');
      expect((await kind.find(root)).map(({ pid }) => pid).sort()).toEqual(before);
    });

    test('a member that is not admitted gets nothing from the moment in which apply resolves', async () => {
      await router.apply(stateWith(all));
      for (const round of [1, 2]) {
        await router.apply(stateWith(['api-b', 'web-a']));
        expect({ round, who: await whoAnswers('/api/') }).toEqual({ round, who: new Set(['api-b']) });
        await router.apply(stateWith(['api-a', 'web-a']));
        expect({ round, who: await whoAnswers('/api/') }).toEqual({ round, who: new Set(['api-a']) });
      }
    });

    test('no member admitted: 503 with Retry-After, other services are served', async () => {
      expect(await router.apply(stateWith(['web-a']))).toBe('applied');
      const refused = await ask('/api/rows');
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(refused.headers.get('content-type')).toBe('application/problem+json');
      expect(JSON.parse(refused.text)).toMatchObject({ status: 503, code: 'no_instance' });
      expect((await ask('/')).status).toBe(200);
      await router.apply(stateWith(all));
      expect((await ask('/api/rows')).status).toBe(200);
    });

    test('members taken out, replaced and let in again under load: no request fails', async () => {
      await router.apply(stateWith(all));
      const load = startLoad({ urls: [url('/api/rows'), url('/'), url('/api/slow?ms=30')], postUrl: url('/api/rows'), postShare: 0.3, requestsPerSecond: 200, connections: 20 });
      for (let round = 0; round < 3; round += 1) {
        for (const name of ['api-a', 'api-b'] as const) {
          await router.apply(stateWith(all.filter((other) => other !== name)));
          await eventually(`${name} is drained`, async () => (await router.inFlight(product, name as InstanceName)) === 0);
          const upstream = upstreams.find((other) => other.name === name);
          if (upstream === undefined) throw new Error('no such upstream');
          upstream.process.kill('SIGTERM');
          await once(upstream.process, 'exit');
          Object.assign(upstream, await startUpstream(name, upstream.port));
          await router.apply(stateWith(all));
        }
      }
      const result = await load.stop();
      expect(result.failed).toEqual([]);
      expect(result.succeeded).toBe(result.sent);
      expect(result.sent).toBeGreaterThan(100);
      expect(Object.keys(result.byReleaseId).sort()).toEqual(all);
    });

    test('a slow request counts as in flight, also after its member was taken out, and is answered; an idle connection does not count', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const idle = connect(port, '127.0.0.1');
      ends.push(() => idle.destroy());
      const slow = ask('/api/slow?ms=5000');
      await eventually('the request is in flight', async () => (await router.inFlight(product, 'api-a' as InstanceName)) === 1);
      await router.apply(stateWith(['api-b', 'web-a']));
      expect(await router.inFlight(product, 'api-a' as InstanceName)).toBe(1);
      expect(await router.inFlight(product, 'api-b' as InstanceName)).toBe(0);
      expect((await slow).status).toBe(200);
      await eventually('nothing is in flight', async () => (await router.inFlight(product, 'api-a' as InstanceName)) === 0);
    });

    test('a member that died: idempotent requests are answered by its twin', async () => {
      await router.apply(stateWith(all));
      await whoAnswers('/api/rows');
      const dead = upstreams.find(({ name }) => name === 'api-a');
      dead?.process.kill('SIGKILL');
      if (dead) await once(dead.process, 'exit');
      for (let count = 0; count < 10; count += 1) expect((await askJson('/api/rows')).name).toBe('api-b');
    });

    test('a POST to a member that refuses the connection goes to its twin, with its body', async () => {
      const refused = await freePort();
      const state = stateWith(all);
      await router.apply({ ...state, members: state.members.map((member) => (member.instance === 'api-a' ? { ...member, port: refused } : member)) });
      for (let count = 0; count < 4; count += 1) expect(await askJson('/api/rows', { method: 'POST', body: 'x'.repeat(5000) })).toMatchObject({ name: 'api-b', method: 'POST', bytes: 5000 });
    });

    test('a POST whose member dies on it is not sent to the other: 502', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const posting = ask('/api/slow?ms=60000', { method: 'POST', body: 'once' });
      await eventually('the request is in flight', async () => (await router.inFlight(product, 'api-a' as InstanceName)) === 1);
      await router.apply(stateWith(all));
      upstreams.find(({ name }) => name === 'api-a')?.process.kill('SIGKILL');
      expect((await posting).status).toBe(502);
    });

    test('an answer that breaks off halfway does not look whole', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const answer = new Promise<string>((resolve) => {
        const asking = httpRequest(url('/api/chunks?ms=60000'), { agent: false }, (response) => {
          response.once('data', () => upstreams.find(({ name }) => name === 'api-a')?.process.kill('SIGKILL'));
          response.on('error', (error) => resolve(error.message));
          response.on('end', () => resolve('whole'));
        });
        asking.on('error', (error) => resolve(error.message));
        asking.end();
      });
      expect(await answer).not.toBe('whole');
    });

    test('bodies stream: the first part of an answer arrives before the rest is made, a large upload arrives whole', async () => {
      await router.apply(stateWith(all));
      const response = await fetch(url('/api/chunks?ms=2000'));
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const firstAt = performance.now();
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('first,');
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('second');
      expect(performance.now() - firstAt).toBeGreaterThan(200);
      expect(await askJson('/api/rows', { method: 'POST', body: 'x'.repeat(3_000_000) })).toMatchObject({ bytes: 3_000_000 });
    });

    test('a WebSocket is passed on, in both directions, and lives through a change of members', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const socket = connect(port, '127.0.0.1');
      ends.push(() => socket.destroy());
      let received = '';
      socket.on('data', (data) => (received += data.toString()));
      socket.write('GET /api/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
      await eventually('the upgrade', () => received.includes('hello from api-a;'));
      expect(received).toMatch(/^HTTP\/1\.1 101 /);
      expect(received).toContain('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
      await router.apply(stateWith(all));
      socket.write('ping-1;');
      await eventually('the echo', () => received.includes('ping-1;'));
      expect(await router.inFlight(product, 'api-a' as InstanceName)).toBe(1);
    });

    test('a port that is taken: refused with the reason, and the old configuration is still served', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const taken = await occupy();
      await expect(router.apply(stateWith(all, { port: taken }))).rejects.toMatchObject({ reason: { message: expect.stringMatching(/in use/i) } });
      expect(await whoAnswers('/api/')).toEqual(new Set(['api-a']));
      expect(await router.apply(stateWith(['api-a', 'web-a']))).toBe('unchanged');
    });

    test('a port that is taken at the first start: refused with the reason, and nothing is left running', async () => {
      const taken = await occupy();
      await expect(router.apply(stateWith(all, { port: taken }))).rejects.toMatchObject({ reason: { code: 'router_start_failed', message: expect.stringMatching(/in use/i) } });
      expect(await kind.find(root)).toEqual([]);
    });

    test('another port: clients are served there, and no longer on the old one', async () => {
      await router.apply(stateWith(all));
      const next = await freePort();
      await router.apply(stateWith(all, { port: next }));
      expect((await fetch(`http://127.0.0.1:${next}/api/rows`)).status).toBe(200);
      await eventually('the old port is closed', () => ask('/').then(() => false, () => true));
    });

    test('router killed: the next apply brings it back, with the same configuration', async () => {
      await router.apply(stateWith(['api-a', 'web-a']));
      const killed = await kind.find(root);
      for (const process of killed) await signalProcess(process, 'SIGKILL');
      for (const process of killed) await waitForEnd(process, 5_000);
      expect(await router.apply(stateWith(['api-a', 'web-a']))).toBe('applied');
      expect(await whoAnswers('/api/')).toEqual(new Set(['api-a']));
    });

    test('the agent that started it is killed, with everything in its process group: it serves on, and the next agent finds it', async () => {
      const argument = JSON.stringify({ kind: kind.name, root: root, entry: routerEntry, state: stateWith(all) });
      const agent = spawn(process.execPath, [join(repository, 'test/bin/apply-router.ts'), argument], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
      const kill = () => process.kill(-(agent.pid as number), 'SIGKILL');
      try {
        const [said] = (await once(agent.stdout, 'data')) as [Buffer];
        expect(said.toString()).toBe('applied\n');
      } finally {
        kill();
      }
      await once(agent, 'exit');
      expect(await whoAnswers('/api/')).toEqual(new Set(['api-a', 'api-b']));
      expect(await router.apply(stateWith(all))).toBe('unchanged');
    });

    test('stop ends every process, lets a request finish, and is idempotent', async () => {
      await router.apply(stateWith(all));
      const slow = ask('/api/slow?ms=3000');
      await eventually('the request is in flight', async () => ((await router.inFlight(product, 'api-a' as InstanceName)) ?? 0) + ((await router.inFlight(product, 'api-b' as InstanceName)) ?? 0) >= 1);
      await router.stop(product, 10);
      expect((await slow).status).toBe(200);
      expect(await kind.find(root)).toEqual([]);
      await router.stop(product, 10);
      expect(await router.inFlight(product, 'api-a' as InstanceName)).toBeNull();
    });

    test('stop does not wait for longer than its grace', async () => {
      await router.apply(stateWith(all));
      const stalled = ask('/api/slow?ms=60000').catch(() => 'cut');
      await eventually('the request is in flight', async () => ((await router.inFlight(product, 'api-a' as InstanceName)) ?? 0) + ((await router.inFlight(product, 'api-b' as InstanceName)) ?? 0) >= 1);
      const beganAt = performance.now();
      await router.stop(product, 0.3);
      expect(performance.now() - beganAt).toBeLessThan(5_000);
      expect(await stalled).toBe('cut');
      expect(await kind.find(root)).toEqual([]);
    });

    test.each(['running', 'gone'])('recovery commands alone put a state in force, router %s', async (before) => {
      await router.apply(stateWith(['api-a', 'web-a']));
      if (before === 'gone') await router.stop(product, 1);
      const script = ['set -eu', ...router.recoveryCommands(stateWith(['api-b', 'web-a'])), 'echo done'].join('\n');
      const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script], { env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin' } });
      expect(stdout).toBe('done\n');
      await eventually('the recovered router answers', async () => (await askJson('/api/rows')).name === 'api-b');
      await eventually('and nobody else does', async () => (await whoAnswers('/api/')).size === 1);
      expect(await router.apply(stateWith(['api-b', 'web-a']))).toBe('unchanged');
    });

    test('a change of routes under load, with requests that cannot be repeated: none fails', async () => {
      await router.apply(stateWith(all));
      const load = startLoad({ urls: [url('/api/rows')], postShare: 0.5, requestsPerSecond: 200, connections: 20 });
      for (const path of ['/v1/', '/v2/', '/v3/']) {
        const state = stateWith(all);
        await router.apply({ ...state, declaration: { ...state.declaration, routes: [...state.declaration.routes, { path, service: 'api' as ServiceName }] } });
        expect(await whoAnswers(`${path}rows`)).toEqual(new Set(['api-a', 'api-b']));
      }
      const result = await load.stop();
      expect(result.failed).toEqual([]);
      expect(result.succeeded).toBe(result.sent);
      expect(result.sent).toBeGreaterThan(10);
    });

    if (kind.name === 'nginx') {
      test('letting members in and out needs no reload: the workers stay', async () => {
        await router.apply(stateWith(all));
        const before = await steadyPids();
        for (const admitted of [['api-b', 'web-a'], all, ['api-a', 'web-a'], ['web-a'], all]) expect(await router.apply(stateWith(admitted))).toBe('applied');
        expect((await kind.find(root)).map(({ pid }) => pid).sort()).toEqual(before);
      });

      test('the include of the release takes the place of the routes, with its upstream names', async () => {
        await writeFile(join(root, 'release/locations.conf'), 'location /v2/ { proxy_pass http://shop_api/; }\n');
        const state = stateWith(all);
        await router.apply({ ...state, declaration: { ...state.declaration, nginx: { ...state.declaration.nginx, include: 'locations.conf' } } });
        expect((await askJson('/v2/rows')).url).toBe('/rows');
        expect((await ask('/other')).status).toBe(404);
      });

      test('an include that nginx refuses: its own words, and the old configuration is still served', async () => {
        await router.apply(stateWith(all));
        await writeFile(join(root, 'release/locations.conf'), 'location / { proxy_passs http://shop_api; }\n');
        const state = stateWith(['api-a', 'web-a']);
        const broken = { ...state, declaration: { ...state.declaration, nginx: { ...state.declaration.nginx, include: 'locations.conf' } } };
        await expect(router.apply(broken)).rejects.toMatchObject({ reason: { class: 'release', code: 'router_config_invalid', message: expect.stringContaining('unknown directive "proxy_passs"') } });
        expect(await whoAnswers('/api/')).toEqual(new Set(['api-a', 'api-b']));
        expect(await router.apply(stateWith(all))).toBe('unchanged');
      });

      test('only the master killed: its orphaned workers give way to a new one', async () => {
        await router.apply(stateWith(['api-a', 'web-a']));
        const processes = await findByWorkingDirectory(join(root, 'var/lib', product, 'fairlead/router/nginx'));
        const master = processes.find(({ commandLine }) => commandLine.startsWith('nginx: master'));
        if (master === undefined) throw new Error('there is no master');
        await signalProcess(master, 'SIGKILL');
        await waitForEnd(master, 5_000);
        expect(await router.apply(stateWith(['api-b', 'web-a']))).toBe('applied');
        expect(await whoAnswers('/api/')).toEqual(new Set(['api-b']));
      });

      test('workers do not run as root', async () => {
        await router.apply(stateWith(all));
        const workers = (await findByWorkingDirectory(join(root, 'var/lib', product, 'fairlead/router/nginx'))).filter(({ commandLine }) => commandLine.startsWith('nginx: worker'));
        expect(workers.length).toBeGreaterThan(0);
        for (const { pid } of workers) expect(await readFile(`/proc/${pid}/status`, 'utf8')).not.toMatch(/^Uid:\s+0\s/m);
      });
    }
  });
}
