import { lookup } from 'node:dns/promises';
import { request } from 'node:http';
import type { OriginProbe } from '../../ports/origin-probe.ts';

const limitMs = 5_000;
const maxBodyBytes = 4_096;

/** @param resolve in place of the machine's own resolver */
export function createOriginProbe({ resolve = resolveAll }: { resolve?: OriginProbe['resolve'] } = {}): OriginProbe {
  return {
    resolve,
    get({ address, port, name, path }, cancel) {
      const limit = AbortSignal.timeout(limitMs);
      return new Promise((done) => {
        const asking = request({ host: address, port, path, agent: false, signal: cancel ? AbortSignal.any([limit, cancel]) : limit, headers: { host: port === 80 ? name : `${name}:${port}`, connection: 'close' } });
        asking.on('error', (error: NodeJS.ErrnoException) => done({ error: limit.aborted ? `no answer within ${limitMs} ms` : error.message || error.code || 'unknown error' }));
        asking.on('response', (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('error', (error) => done({ error: error.message }));
          response.on('data', (chunk: string) => {
            if (body.length < maxBodyBytes) body += chunk;
          });
          response.on('end', () => done({ status: response.statusCode ?? 0, body: body.slice(0, maxBodyBytes) }));
        });
        asking.end();
      });
    },
  };
}

async function resolveAll(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true }).catch(() => []);
  return [...new Set(found.map(({ address }) => address))];
}
