import { hostname } from 'node:os';
import { instance } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';

const shortestPauseMs = 100;
const longestPauseMs = 2_000;
const address = process.env.LAB_CONTROLLER ?? null;
const name = process.env.LAB_NODE ?? hostname().toLowerCase();
if (address === null) {
  console.error(`${instance}: LAB_CONTROLLER is not set: give the address of the controller, such as ws://control.example:4700/fleet`);
  process.exit(1);
}

let socket = null;
let connected = false;
let connections = 0;
let pauseMs = shortestPauseMs;
let stopping = false;

const { faults, releaseId } = serve(
  'runtime',
  (path) => {
    switch (path) {
      case '/health':
      case '/health/live':
        return [200, { status: 'ok' }];
      // A controller that is away is no fault of the node: its work goes on.
      case '/health/ready':
        return [200, { status: 'ready', connected }];
      case '/health/detailed':
        return [200, { status: 'ok', pid: process.pid, node: name, controller: address, connected, connections }];
      default:
        return null;
    }
  },
  () => {
    stopping = true;
    socket?.close();
  },
);

/** Says who it is and what it runs, and comes back whenever the connection has ended: at once the first time, then ever slower, each a little differently. */
function connect() {
  socket = new WebSocket(address);
  socket.addEventListener('open', () => socket.send(JSON.stringify({ hello: { node: name, releaseId, pid: process.pid } })));
  socket.addEventListener('message', () => {
    connected = true;
    connections += 1;
    pauseMs = shortestPauseMs;
  });
  socket.addEventListener('error', () => {}); // `close` follows.
  socket.addEventListener('close', () => {
    connected = false;
    if (stopping) return;
    setTimeout(connect, pauseMs * (0.5 + Math.random() / 2));
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  });
}
if (!faults.noHello) connect();
