import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { signalProcess, waitForEnd } from '../../src/adapters/process/proc.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import type { TrafficFigures, TrafficSplit } from '../../src/ports/router.ts';
import { eventually } from '../support/eventually.ts';
import { startLoad } from '../support/load.ts';
import { describeWith } from '../support/requirement.ts';
import { createRouterBed, product, routerKinds } from '../support/router-bed.ts';

const blue = ['api-a', 'api-b'];
const green = ['api-c', 'api-d'];
const web = ['web-a', 'web-b'];
const split = (percent: number, to: readonly string[] = green): { split: TrafficSplit } => ({ split: { to: to as InstanceName[], percent } });
/** The load itself: nothing is waited for but that clients go on for a while. */
const asking = () => new Promise((resolve) => setTimeout(resolve, 400));

for (const kind of routerKinds) {
  describeWith(kind.requires, `router, shares and figures: ${kind.name}`, () => {
    let bed: Awaited<ReturnType<typeof createRouterBed>>;
    let agent: Agent;
    let ends: (() => unknown)[];

    beforeEach(async () => {
      ends = [];
      agent = new Agent({ keepAlive: true, maxSockets: 8 });
      bed = await createRouterBed(kind, [...blue, ...green, ...web]);
    });
    afterEach(async () => {
      for (const end of ends) end();
      agent.destroy();
      await bed.end();
    });

    const ask = (path: string, method = 'GET', body?: string) =>
      new Promise<{ status: number; name: string; bytes: number }>((resolve, reject) => {
        const asking = httpRequest(bed.url(path), { agent, method, ...(body === undefined ? {} : { headers: { 'content-length': Buffer.byteLength(body) } }) }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('error', reject);
          response.on('end', () => {
            const { name = '', bytes = 0 } = JSON.parse(text) as { name?: string; bytes?: number };
            resolve({ status: response.statusCode ?? 0, name, bytes });
          });
        });
        asking.on('error', reject);
        asking.end(body);
      });
    /** Who answered so many requests, over the agent's eight connections. */
    const count = async (requests: number, path = '/api/rows') => {
      const seen: Record<string, number> = {};
      for (const { name, status } of await Promise.all(Array.from({ length: requests }, () => ask(path)))) seen[`${name}${status === 200 ? '' : ` ${status}`}`] = (seen[`${name}${status === 200 ? '' : ` ${status}`}`] ?? 0) + 1;
      return seen;
    };
    const of = (seen: Record<string, number>, names: readonly string[]) => names.reduce((sum, name) => sum + (seen[name] ?? 0), 0);
    const inFlight = (name: string) => bed.router.inFlight(product, name as InstanceName);
    const figures = async (since: Date): Promise<Record<string, TrafficFigures>> => {
      const told = await bed.router.traffic(product, since);
      if (told === null) throw new Error('the router cannot tell what went through');
      return Object.fromEntries(told.map((one) => [one.instance, one]));
    };
    const requestsOf = async (since: Date) => Object.fromEntries(Object.values(await figures(since)).map(({ instance, requests }) => [instance, requests]));
    const openSocket = async (path: string) => {
      const socket = connect(bed.port, '127.0.0.1');
      ends.push(() => socket.destroy());
      let received = '';
      let ended = false;
      socket.on('data', (data) => (received += data.toString()));
      socket.on('error', () => (ended = true));
      socket.on('close', () => (ended = true));
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
      await eventually('the upgrade', () => received.includes('hello from '));
      return {
        socket,
        isOpen: () => !ended,
        async echo(text: string) {
          socket.write(`${text};`);
          await eventually(`the echo of ${text}`, () => received.includes(`${text};`));
        },
      };
    };

    test('shares of 1, 10, 50, 100 and 0 percent come true within one request, evenly inside of a side; one that has no split is not split', async () => {
      for (const percent of [1, 10, 50, 100, 0]) {
        expect(await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(percent)))).toBe('applied');
        const requests = 400;
        const seen = await count(requests);
        expect({ percent, answered: of(seen, [...blue, ...green]) }).toEqual({ percent, answered: requests });
        expect({ percent, off: Math.abs(of(seen, green) - (requests * percent) / 100) <= 1, seen }).toEqual({ percent, off: true, seen });
        // One after the other they go by turns. Of many at once the embedded router asks the least busy, and how alike those are shared is the machine's doing.
        const alone: Record<string, number> = {};
        for (let turn = 0; turn < 40; turn += 1) {
          const { name } = await ask('/api/rows');
          alone[name] = (alone[name] ?? 0) + 1;
        }
        const turns = kind.name === 'nginx' ? seen : alone;
        for (const side of [blue, green]) {
          const all = of(turns, side);
          if (all >= 20) for (const name of side) expect({ percent, name, even: Math.abs((turns[name] ?? 0) / all - 0.5) < 0.25, turns }).toEqual({ percent, name, even: true, turns });
          if (of(seen, side) >= 40) for (const name of side) expect({ percent, name, seen, asked: (seen[name] ?? 0) > 0 }).toEqual({ percent, name, seen, asked: true });
        }
        const others = await count(60, '/rows');
        expect(of(others, web)).toBe(60);
        // The least busy of them is asked: how alike they share is the machine's doing, that none of them is left out is the router's.
        for (const name of web) expect({ percent, name, others, asked: (others[name] ?? 0) > 0 }).toEqual({ percent, name, others, asked: true });
      }
      expect(await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(0)))).toBe('unchanged');
    });

    test('1 percent of 200 requests per second comes true within 10 seconds: each hundred brings one', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(1)));
      const since = new Date();
      const load = startLoad({ urls: [bed.url('/api/rows')], requestsPerSecond: 200, connections: 20 });
      try {
        await eventually('the new release had five requests', async () => of(await requestsOf(since), green) >= 5, 10_000);
      } finally {
        const result = await load.stop();
        expect(result.failed).toEqual([]);
        expect(Math.abs(of(result.byReleaseId, green) - result.sent / 100)).toBeLessThanOrEqual(1);
      }
    });

    test('a service whose admitted members are on one side only is not split', async () => {
      await bed.router.apply(bed.stateWith([...green, ...web], split(10)));
      expect(of(await count(50), green)).toBe(50);
      await bed.router.apply(bed.stateWith([...blue, ...web], split(100)));
      expect(of(await count(50), blue)).toBe(50);
      // Its side of the web service is nobody: that service goes on with all of its own.
      expect(Object.keys(await count(40, '/rows')).sort()).toEqual(web);
      await bed.router.apply(bed.stateWith(web, split(50)));
      expect((await fetch(bed.url('/api/rows'))).status).toBe(503);
    });

    test('tiers changed under load on kept connections, with POST: no request fails, no connection is closed, no process is replaced', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...web]));
      await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(0)));
      const processes = (await kind.find(bed.root)).map(({ pid }) => pid).sort();
      const load = startLoad({ urls: [bed.url('/api/rows'), bed.url('/rows'), bed.url('/api/slow?ms=30')], postUrl: bed.url('/api/rows'), postShare: 0.3, requestsPerSecond: 200, connections: 20 });
      for (const percent of [1, 10, 50, 100, 0, 50, 10]) {
        expect(await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(percent)))).toBe('applied');
        await asking();
      }
      const result = await load.stop();
      expect(result.failed).toEqual([]);
      expect([result.succeeded, result.retriedOnClosedConnection]).toEqual([result.sent, 0]);
      expect(result.sent).toBeGreaterThan(300);
      expect(Object.keys(result.byReleaseId).sort()).toEqual([...blue, ...green, ...web]);
      expect((await kind.find(bed.root)).map(({ pid }) => pid).sort()).toEqual(processes);
    });

    test('the flip of blue and green under load: every request after apply goes to the new ones, those in flight end, none fails', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...web]));
      const load = startLoad({ urls: [bed.url('/api/rows'), bed.url('/rows')], postUrl: bed.url('/api/rows'), postShare: 0.3, requestsPerSecond: 200, connections: 20 });
      for (const [from, to] of [[blue, green], [green, blue], [blue, green]] as const) {
        // Its headers have come: an instance works on it, whatever else is in flight.
        const slow = await fetch(bed.url('/api/chunks?ms=700&named=1'));
        await bed.router.apply(bed.stateWith([...to, ...web]));
        expect(of(await count(40), to)).toBe(40);
        expect([slow.status, await slow.text()]).toEqual([200, expect.stringMatching(new RegExp(`^first,(${from.join('|')})$`))]);
      }
      const result = await load.stop();
      expect(result.failed).toEqual([]);
      expect(result.succeeded).toBe(result.sent);
    });

    test('figures are what the clients counted: requests, errors by status and without an answer, latency; WebSockets do not count', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(50)));
      const since = new Date();
      const live = await openSocket('/api/live');
      const asked = await Promise.all([
        ...Array.from({ length: 120 }, () => ask('/api/slow?ms=100')),
        ...Array.from({ length: 20 }, () => ask('/api/status?code=500')),
        ...Array.from({ length: 12 }, () => ask('/api/status?code=503', 'POST', 'x')),
        ...Array.from({ length: 16 }, () => ask('/api/status?code=404')),
        ...Array.from({ length: 8 }, () => ask('/api/rows', 'POST', 'x'.repeat(1000))),
      ]);
      const unanswered = await Promise.all(Array.from({ length: 6 }, () => fetch(bed.url('/api/hangup'), { method: 'POST', body: 'x' })));
      expect(unanswered.map(({ status }) => status)).toEqual([502, 502, 502, 502, 502, 502]);
      live.socket.destroy();

      const told = await eventually('everything is in the figures', async () => {
        const all = await figures(since);
        return Object.values(all).reduce((sum, one) => sum + one.requests, 0) >= asked.length + 6 && all;
      });
      expect(Object.keys(told).sort()).toEqual([...blue, ...green, ...web]);
      const names = [...blue, ...green];
      const counted = (list: typeof asked, name: string) => list.filter((one) => one.name === name).length;
      // Who hung up did not say its name.
      expect(names.reduce((sum, name) => sum + (told[name]?.requests ?? 0) - counted(asked, name), 0)).toBe(6);
      expect(names.reduce((sum, name) => sum + (told[name]?.errors ?? 0) - counted(asked.filter(({ status }) => status >= 500), name), 0)).toBe(6);
      for (const name of names) {
        const hangups = (told[name]?.requests ?? 0) - counted(asked, name);
        expect({ name, errors: told[name]?.errors }).toEqual({ name, errors: counted(asked.filter(({ status }) => status >= 500), name) + hangups });
        expect(hangups).toBeGreaterThanOrEqual(0);
        expect(told[name]).toMatchObject({ service: 'api', latencyMs: { p50: expect.any(Number) } });
        expect(told[name]?.latencyMs?.p50).toBeGreaterThan(95);
        expect(told[name]?.latencyMs?.p99).toBeLessThan(3_000);
      }
      for (const name of web) expect(told[name]).toEqual({ service: 'web', instance: name, requests: 0, errors: 0, latencyMs: null });
    });

    test('a member that cannot be reached has failed for the requests that its twin answered', async () => {
      const state = bed.stateWith([...blue, ...web]);
      await bed.router.apply(state);
      const since = new Date();
      const dead = bed.upstreams.find(({ name }) => name === 'api-a');
      dead?.process.kill('SIGKILL');
      if (dead) await once(dead.process, 'exit');
      expect(of(await count(20), ['api-b'])).toBe(20);
      const told = await eventually('the figures', async () => {
        const all = await figures(since);
        return all['api-b']?.requests === 20 && all;
      });
      expect(told['api-a']?.requests).toBeGreaterThan(0);
      expect(told['api-a']?.errors).toBe(told['api-a']?.requests);
      expect(told['api-b']).toMatchObject({ requests: 20, errors: 0 });
    });

    test('a window begins when it is asked to, and figures go on through a change of members and another agent', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...web]));
      const first = new Date();
      await count(30);
      await eventually('the first requests are in', async () => of(await requestsOf(first), blue) === 30);
      const seenAt = Date.now();
      const second = await eventually('the next millisecond', () => Date.now() > seenAt + 1 && new Date());
      await bed.router.apply(bed.stateWith([...green, ...web]));
      await count(20);
      bed = { ...bed, router: kind.create(bed.root) };
      await eventually('the second requests are in', async () => of(await requestsOf(first), green) === 20);
      expect(of(await requestsOf(first), blue)).toBe(30);
      const later = await requestsOf(second);
      expect([of(later, blue), of(later, green)]).toEqual([0, 20]);
    });

    test('no data is told as such: before the router was there, while it is down, and for the time before it came back', async () => {
      const before = new Date();
      expect(await bed.router.traffic(product, before)).toBeNull();
      await eventually('the next millisecond', () => Date.now() > before.getTime());
      await bed.router.apply(bed.stateWith([...blue, ...web]));
      const up = new Date();
      expect(await bed.router.traffic(product, before)).toBeNull();
      await count(5);
      await eventually('the requests are in', async () => of(await requestsOf(up), blue) === 5);
      const killed = await kind.find(bed.root);
      for (const process of killed) await signalProcess(process, 'SIGKILL');
      for (const process of killed) await waitForEnd(process, 5_000);
      expect(await bed.router.traffic(product, up)).toBeNull();
      await bed.router.apply(bed.stateWith([...blue, ...web]));
      const back = new Date();
      expect(await bed.router.traffic(product, up)).toBeNull();
      await count(7);
      await eventually('the requests after it are in', async () => of(await requestsOf(back), blue) === 7);
    });

    test('a WebSocket, a long poll and an upload of 20 seconds live through tiers and members that come and go, count as in flight, and end well on the instance that was let out', async () => {
      await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(100, ['api-c'])));
      const since = new Date();
      const live = await openSocket('/api/live');
      const poll = ask('/api/slow?ms=20000');
      const uploaded: { chunks: number; timer?: NodeJS.Timeout } = { chunks: 0 };
      const upload = new Promise<{ status: number; name: string; bytes: number }>((resolve, reject) => {
        const uploading = httpRequest(bed.url('/api/rows'), { agent: false, method: 'POST' }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, ...(JSON.parse(text) as { name: string; bytes: number }) }));
          response.on('error', reject);
        });
        uploading.on('error', reject);
        uploaded.timer = setInterval(() => {
          uploading.write('x'.repeat(1024));
          uploaded.chunks += 1;
          if (uploaded.chunks < 200) return;
          clearInterval(uploaded.timer);
          uploading.end();
        }, 100);
        ends.push(() => {
          clearInterval(uploaded.timer);
          uploading.destroy();
        });
      });
      upload.catch(() => {});
      await eventually('all three are in flight', async () => (await inFlight('api-c')) === 3);

      for (const percent of [50, 10, 0]) {
        await bed.router.apply(bed.stateWith([...blue, ...green, ...web], split(percent, ['api-c'])));
        await live.echo(`at ${percent}`);
      }
      for (const admitted of [[...blue, 'api-d', ...web], ['api-a', ...web], [...blue, ...web]]) {
        await bed.router.apply(bed.stateWith(admitted));
        await live.echo(`with ${admitted.length} ${admitted[0]}`);
        expect(of(await count(12), admitted)).toBe(12);
      }
      expect(uploaded.chunks).toBeLessThan(150);
      expect(await inFlight('api-c')).toBe(3);
      // A client has its answer before the router has let go of the connection that it came by.
      await eventually('the others work on nothing', async () => (await inFlight('api-d')) === 0 && (await inFlight('api-a')) === 0);

      expect(await poll).toMatchObject({ status: 200, name: 'api-c' });
      expect(await upload).toMatchObject({ status: 200, name: 'api-c', bytes: 200 * 1024 });
      await eventually('only the WebSocket is left', async () => (await inFlight('api-c')) === 1);
      await live.echo('still here');
      expect(live.isOpen()).toBe(true);
      live.socket.destroy();
      await eventually('the drained instance works on nothing', async () => (await inFlight('api-c')) === 0);
      // The time of the upload is its client's, and the long poll is none that was slow.
      const told = (await figures(since))['api-c'];
      expect(told).toMatchObject({ requests: 2, errors: 0 });
      expect(told?.latencyMs?.p99).toBeLessThan(2_000);
    }, 60_000);
  });
}
