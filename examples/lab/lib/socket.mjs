import { createHash } from 'node:crypto';

/** RFC 6455, section 1.3. */
const suffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const opcode = { text: 1, close: 8, ping: 9, pong: 10 };
const longest = 65_535;

/**
 * As much of a WebSocket server (RFC 6455) as this example needs: whole texts of at most 65,535 bytes, pings, and an orderly end. No fragments, no extensions.
 * @param onClient gets {send(object), close(code), onMessage, onClose}; it sets the last two.
 */
export function acceptSockets(server, path, onClient) {
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const key = request.headers['sec-websocket-key'];
    if (new URL(request.url, 'http://localhost').pathname !== path || key === undefined) return void socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${createHash('sha1').update(key + suffix).digest('base64')}\r\n\r\n`);
    const client = {
      send: (value) => socket.write(frame(opcode.text, Buffer.from(JSON.stringify(value)))),
      close: (code) => socket.end(frame(opcode.close, Buffer.from([code >> 8, code & 0xff]))),
      onMessage: () => {},
      onClose: () => {},
    };
    onClient(client);
    let waiting = head;
    const read = (chunk) => {
      waiting = Buffer.concat([waiting, chunk]);
      for (let message = take(waiting); message !== null; message = take(waiting)) {
        // Refused, section 7.4.1: too big, or in a form that this server does not speak.
        if (message.refused) return void client.close(message.refused);
        waiting = waiting.subarray(message.length);
        if (message.opcode === opcode.close) return void socket.end(frame(opcode.close, message.payload.subarray(0, 2)));
        if (message.opcode === opcode.ping) socket.write(frame(opcode.pong, message.payload));
        if (message.opcode === opcode.text) client.onMessage(message.payload.toString('utf8'));
      }
    };
    socket.on('data', read);
    socket.on('close', () => client.onClose());
    read(Buffer.alloc(0));
  });
}

/** A server's frames are not masked (section 5.1). */
function frame(kind, payload) {
  const size = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | kind, ...size]), payload]);
}

/** The first whole frame of a client, unmasked; null where more bytes have to come. */
function take(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = bytes;
  if ((first & 0xf0) !== 0x80 || (second & 0x80) === 0) return { refused: 1002 };
  const short = second & 0x7f;
  if (short === 127) return { refused: 1009 };
  const at = short === 126 ? 4 : 2;
  if (bytes.length < at + 4) return null;
  const size = short === 126 ? bytes.readUInt16BE(2) : short;
  if (size > longest) return { refused: 1009 };
  if (bytes.length < at + 4 + size) return null;
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size));
  for (let index = 0; index < size; index += 1) payload[index] ^= bytes[at + (index % 4)];
  return { opcode: first & 0x0f, payload, length: at + 4 + size };
}
