import { createHash } from 'node:crypto';

/** RFC 6455, section 1.3. */
const keySuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const opcodes = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xa };
/** RFC 6455, section 7.4, and the registry: the service restarts, the client may come back. */
const serviceRestart = 1012;

/**
 * As much of a WebSocket server as this example needs: it greets, echoes short texts, answers pings, and announces its own end, so that a client knows
 * that it should connect again. No fragments, no extensions, nothing longer than 65,535 bytes.
 * @param greet gives the object that a new client is sent.
 */
export function serveSockets(server, path, greet) {
  const open = new Set();
  server.on('upgrade', (request, socket, head) => {
    const key = request.headers['sec-websocket-key'];
    if (new URL(request.url, 'http://localhost').pathname !== path || key === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const accept = createHash('sha1').update(key + keySuffix).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.write(frame(opcodes.text, Buffer.from(JSON.stringify(greet()))));
    let waiting = head;
    const read = (chunk) => {
      waiting = Buffer.concat([waiting, chunk]);
      for (let message = takeFrame(waiting); message !== null; message = takeFrame(waiting)) {
        waiting = waiting.subarray(message.length);
        if (message.opcode === opcodes.close) return void socket.end(frame(opcodes.close, message.payload.subarray(0, 2)));
        if (message.opcode === opcodes.ping) socket.write(frame(opcodes.pong, message.payload));
        if (message.opcode === opcodes.text) socket.write(frame(opcodes.text, message.payload));
      }
    };
    socket.on('data', read);
    read(Buffer.alloc(0));
  });
  return {
    /** Tells every client that this server goes away, and that another one answers. */
    announceEnd() {
      for (const socket of open) socket.end(frame(opcodes.close, Buffer.from([serviceRestart >> 8, serviceRestart & 0xff])));
    },
  };
}

/** A server's frames are not masked (section 5.1). */
function frame(opcode, payload) {
  const header = payload.length < 126 ? Buffer.from([0x80 | opcode, payload.length]) : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([header, payload]);
}

/** The first whole frame of a client, unmasked; null where more bytes have to come. */
function takeFrame(bytes) {
  if (bytes.length < 6) return null;
  const short = bytes[1] & 0x7f;
  const at = short === 126 ? 4 : 2;
  if (short === 127) throw new Error('a frame of more than 65,535 bytes');
  if (bytes.length < at + 4) return null;
  const size = short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < at + 4 + size) return null;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size).map((byte, index) => byte ^ mask[index % 4]));
  return { opcode: bytes[0] & 0x0f, payload, length: at + 4 + size };
}
