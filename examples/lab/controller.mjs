import { randomUUID } from 'node:crypto';
import { listNodes, readNode, writeNode } from './lib/nodes.mjs';
import { instance } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';
import { acceptSockets } from './lib/socket.mjs';

/** RFC 6455, section 7.4, and the registry: the service restarts, the client may come back at once. */
const serviceRestart = 1012;
const open = new Set();
// Connections of an instance that was killed have nobody who saw them end.
for (const { node, ...known } of listNodes()) if (known.connected && known.seenBy === instance) writeNode(node, { ...known, connected: false });

const { server, faults, releaseId } = serve(
  'hub',
  (path) => {
    switch (path) {
      case '/health':
      case '/health/live':
        return [200, { status: 'ok' }];
      case '/health/ready':
        return [200, { status: 'ready' }];
      case '/health/detailed':
        return [200, { status: 'ok', pid: process.pid, sockets: open.size }];
      case '/api/nodes':
        return [200, { nodes: listNodes() }];
      // Without an upgrade: somebody asks whether the listener is there.
      case '/fleet':
        return [426, { error: 'this is a WebSocket' }];
      default:
        return null;
    }
  },
  () => {
    for (const client of open) client.close(serviceRestart);
  },
);

acceptSockets(server, '/fleet', (client) => {
  if (faults.dropSockets) return client.close(serviceRestart);
  open.add(client);
  const connection = randomUUID();
  let node = null;
  client.onMessage = (text) => {
    const hello = readHello(text);
    if (hello === null) return client.close(1008);
    node = hello.node;
    writeNode(node, { connection, connected: true, releaseId: hello.releaseId, pid: hello.pid, helloAt: new Date().toISOString(), seenBy: instance });
    client.send({ welcome: node, releaseId });
  };
  client.onClose = () => {
    open.delete(client);
    // Unless it has said hello on another connection since then, perhaps to the twin of this instance.
    const known = node === null ? null : readNode(node);
    if (known?.connection === connection) writeNode(node, { ...known, connected: false });
  };
});

/** The name becomes a file's, so it is held to what a name may be. */
function readHello(text) {
  try {
    const { hello } = JSON.parse(text);
    return typeof hello?.node === 'string' && /^[a-z0-9][a-z0-9.-]{0,62}$/.test(hello.node) && typeof hello.releaseId === 'string' && Number.isInteger(hello.pid) ? hello : null;
  } catch {
    return null;
  }
}
