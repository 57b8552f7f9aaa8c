import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { createFleetConnection, type FleetConnection } from '../../src/adapters/fleet-connection/index.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';

/** The agent's way to control, against a control that is played: what stands in between, and what breaks. */
type Upgrade = 'accept' | 'break' | number;

interface Control {
  readonly url: string;
  upgrade: Upgrade;
  /** Null: HTTP does not answer either. */
  http: number | null;
  readonly upgrades: { readonly authorization: string | undefined }[];
  readonly hellos: { readonly by: 'websocket' | 'http'; readonly body: { releases?: unknown; session?: string } }[];
  readonly sockets: WebSocket[];
}

let server: Server;
let control: Control;
let connection: FleetConnection;
let changes: string[];
let lost: string[];
let key: string;
let time: number;

beforeEach(async () => {
  const accepting = new WebSocketServer({ noServer: true });
  server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      if (control.http === null) return void request.socket.destroy();
      if (control.http === 200) control.hellos.push({ by: 'http', body: JSON.parse(text) as Control['hellos'][number]['body'] });
      response.writeHead(control.http, { 'content-type': 'application/json' }).end(JSON.stringify({ by: 'http' }));
    });
  });
  server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
    control.upgrades.push({ authorization: request.headers.authorization });
    if (control.upgrade === 'break') return void socket.destroy();
    if (control.upgrade !== 'accept') return void socket.end(`HTTP/1.1 ${control.upgrade} Whatever\r\nconnection: close\r\ncontent-length: 4\r\n\r\nwhy!`);
    accepting.handleUpgrade(request, socket, head, (accepted) => {
      control.sockets.push(accepted);
      accepted.on('message', (data) => {
        const { id, hello } = JSON.parse((data as Buffer).toString('utf8')) as { id: number; hello: Control['hellos'][number]['body'] };
        control.hellos.push({ by: 'websocket', body: hello });
        accepted.send(JSON.stringify({ type: 'something_newer' }));
        accepted.send('not even JSON');
        accepted.send(JSON.stringify({ type: 'heard', id, answer: { by: 'websocket' } }));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  control = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, upgrade: 'accept', http: 200, upgrades: [], hellos: [], sockets: [] };
  [changes, lost, key, time] = [[], [], 'k1', 0];
  connection = createFleetConnection({ apiUrl: control.url, host: 'h1' as HostId, bootId: 'b1', readKey: async () => key, lost: (why) => lost.push(why), changed: (transport) => changes.push(transport), retryMs: 1_000, now: () => time });
});
afterEach(async () => {
  await connection.close();
  for (const socket of control.sockets) socket.terminate();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const say = () => connection.say(async (begins) => (begins ? { releases: ['what runs'] } : {}));
const heardBy = () => control.hellos.map(({ by, body }) => `${by}${body.releases ? ' begins' : ''}`);

test('one connection for many hellos, of which the first tells what runs; renewed, another connection with the key as it is then', async () => {
  expect(await say()).toEqual({ by: 'websocket' });
  await say();
  key = 'k2';
  await connection.renew();
  await say();
  expect(heardBy()).toEqual(['websocket begins', 'websocket', 'websocket begins']);
  expect(control.upgrades.map(({ authorization }) => authorization)).toEqual(['Bearer k1', 'Bearer k2']);
  expect([changes, lost]).toEqual([[], []]);
});

test('control ends the connection: told as lost, once, and the next hello begins another one', async () => {
  await say();
  control.sockets[0]!.close(1012, 'api_closing');
  await eventually('lost', () => lost.length === 1);
  expect(lost[0]).toContain('1012 api_closing');
  await say();
  expect(heardBy()).toEqual(['websocket begins', 'websocket begins']);
});

test.each<[string, Upgrade]>([
  ['has no such path', 404],
  ['demands an upgrade that was taken away', 426],
  ['knows no WebSocket', 501],
  ['answers as if no upgrade was asked for', 200],
])('what stands in between %s: over HTTP at once, and back after a while', async (_what, upgrade) => {
  control.upgrade = upgrade;
  expect(await say()).toEqual({ by: 'http' });
  await say();
  expect([heardBy(), control.upgrades.length, changes]).toEqual([['http begins', 'http'], 1, ['http']]);
  expect(control.hellos[0]!.body.session).toBe(control.hellos[1]!.body.session);
  await connection.renew();
  await say();
  expect(control.hellos[2]!.body.session).not.toBe(control.hellos[1]!.body.session);

  [control.upgrade, time] = ['accept', 1_000];
  expect(await say()).toEqual({ by: 'websocket' });
  expect([heardBy().at(-1), changes, connection.transport()]).toEqual(['websocket begins', ['http', 'websocket'], 'websocket']);
});

test('upgrades that break three times in a row while HTTP answers: over HTTP; twice, or with HTTP away as well: not', async () => {
  control.upgrade = 'break';
  await expect(say()).rejects.toThrow();
  await expect(say()).rejects.toThrow();
  control.upgrade = 'accept';
  await say();
  await connection.renew();
  [control.upgrade, control.http] = ['break', null];
  for (const _time of [1, 2, 3, 4]) await expect(say()).rejects.toThrow();
  expect([heardBy(), changes]).toEqual([['websocket begins'], []]);
  control.http = 200;
  expect(await say()).toEqual({ by: 'http' });
  expect(changes).toEqual(['http']);
});

test.each([401, 403, 409, 500, 503])('what the API itself refuses with %i is no reason to come by another way', async (status) => {
  control.upgrade = status;
  for (const _time of [1, 2, 3, 4]) await expect(say()).rejects.toThrow(`answered ${status}: why!`);
  expect([heardBy(), changes]).toEqual([[], []]);
});

test('more to tell than a message may hold: told nobody, and said why', async () => {
  await expect(connection.say(async () => ({ text: 'x'.repeat(1024 * 1024) }))).rejects.toThrow('longer than 1048576 bytes');
  expect(control.hellos).toEqual([]);
});
