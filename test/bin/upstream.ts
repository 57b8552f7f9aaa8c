// An instance for the suites of routers and load, in its own process so that it can be killed. Argument: its name. Prints its port.
// Paths: /slow?ms=N answers late, /chunks?ms=N sends half of its answer at once and the rest later (with &named=1 the rest is its name),
// /status?code=N answers with that status, /hangup closes the connection instead of answering. All also below /api.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const name = process.argv[2] ?? 'upstream';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const ms = Number(url.searchParams.get('ms') ?? 0);
  const path = url.pathname.replace(/^\/api/, '');
  if (path === '/slow') await pause(ms);
  if (path === '/chunks') {
    response.write('first,');
    await pause(ms);
    return void response.end(url.searchParams.has('named') ? name : 'second');
  }
  if (path === '/hangup') return void request.socket.destroy();
  if (path === '/status') response.statusCode = Number(url.searchParams.get('code') ?? 200);
  let body = '';
  for await (const chunk of request) body += chunk;
  response.setHeader('set-cookie', ['a=1', 'b=2']);
  response.setHeader('content-type', 'application/json');
  response.setHeader('connection', request.headers.connection === 'close' ? 'close' : 'keep-alive');
  response.end(JSON.stringify({ name, releaseId: name, method: request.method, url: request.url, bytes: body.length, headers: request.headers }));
});

// A WebSocket as far as a router can tell: the handshake of RFC 6455, then everything is sent back.
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.write(`hello from ${name};`);
  socket.on('data', (data) => socket.write(data));
  socket.on('error', () => socket.destroy());
});

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
