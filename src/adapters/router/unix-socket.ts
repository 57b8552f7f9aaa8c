import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { request } from 'node:http';

/**
 * Asks over a Unix socket. A socket's path may hold 107 bytes (unix(7)), and a host's directory may be longer, so that the socket is
 * reached through an open handle of its directory.
 */
export async function askUnixSocket(path: string, ask: { method?: string; path: string; body?: string; timeoutMs: number }): Promise<{ status: number; body: string }> {
  const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await exchange(`/proc/self/fd/${directory}/${basename(path)}`, ask);
  } finally {
    closeSync(directory);
  }
}

function exchange(socketPath: string, ask: { method?: string; path: string; body?: string; timeoutMs: number }): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method: ask.method ?? 'GET', path: ask.path, agent: false, signal: AbortSignal.timeout(ask.timeoutMs), headers: { host: 'localhost', connection: 'close' } });
    asking.on('error', reject);
    asking.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.end(ask.body);
  });
}
