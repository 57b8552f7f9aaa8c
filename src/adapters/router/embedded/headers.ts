import type { IncomingMessage } from 'node:http';

/** Headers that concern one connection only and are not passed on (RFC 9110 section 7.6.1). */
const hopByHop = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

/** Raw name and value pairs, in their order, without what concerns the connection or is named by `Connection`. */
export function endToEnd(message: IncomingMessage, drop: readonly string[] = []): string[] {
  const named = (message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const dropped = new Set([...hopByHop, ...named, ...drop]);
  const kept: string[] = [];
  for (let index = 0; index + 1 < message.rawHeaders.length; index += 2) {
    const name = message.rawHeaders[index] as string;
    if (!dropped.has(name.toLowerCase())) kept.push(name, message.rawHeaders[index + 1] as string);
  }
  return kept;
}

/** What the instance sees: the client's headers, and who the client was. What a client claims of earlier hops is kept in front, as nginx does. */
export function forwarded(request: IncomingMessage): string[] {
  const client = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  const before = request.headers['x-forwarded-for'];
  const chain = before === undefined ? client : `${Array.isArray(before) ? before.join(', ') : before}, ${client}`;
  return [
    ...endToEnd(request, ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip', 'expect']),
    ...['X-Forwarded-For', chain, 'X-Forwarded-Proto', 'encrypted' in request.socket ? 'https' : 'http', 'X-Forwarded-Host', request.headers.host ?? '', 'X-Real-IP', client],
  ];
}

/** Methods that may be sent again when nobody knows whether they were carried out (RFC 9110 section 9.2.2). */
export function isIdempotent(method: string | undefined): boolean {
  return ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'].includes(method ?? '');
}

export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}
