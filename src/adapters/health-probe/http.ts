import { request } from 'node:http';
import { messagesOf } from '../../domain/failure.ts';
import type { ReleaseId } from '../../domain/ids.ts';
import type { Probe } from '../../domain/product/manifest.ts';
import type { HealthProbe, ProbeAnswer } from '../../ports/health-probe.ts';

/** Enough for a health document; what comes after it is not read. */
const maxBodyBytes = 64 * 1024;
const shownBytes = 300;

/**
 * Asks over HTTP/1.1 on 127.0.0.1, every time over a new connection: a kept one may belong to a process that is on its way out. The limit
 * covers everything from connecting to the last byte. Redirects are answers, not followed.
 */
export function createHttpProbe(): HealthProbe {
  return {
    async ask(probe, target, expectedReleaseId, cancel) {
      const at = new Date().toISOString();
      const judged = await get(probe, target, cancel).then(
        (response) => judge(probe, response, expectedReleaseId),
        (error: unknown) => ({ passed: false, releaseId: null, answer: messagesOf(error)[0] || String(error) }),
      );
      return {
        passed: judged.passed,
        releaseId: judged.releaseId,
        evidence: { kind: 'probe', at, probe: probe.name, target: `${target.name} ${target.tlsName === undefined ? 'http' : 'https'}://127.0.0.1:${target.port}${probe.path}`, passed: judged.passed, answer: judged.answer },
      };
    },
  };
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Pure: compares an answer with what the probe demands. `answer` says what came and, where it did not pass, what is wrong with it. */
export function judge(probe: Probe, response: HttpAnswer, expectedReleaseId: ReleaseId | null): { passed: boolean; releaseId: ProbeAnswer['releaseId']; answer: string } {
  const releaseId = probe.releaseIdField === null ? null : readField(response.body, probe.releaseIdField);
  const wrong: string[] = [];
  if (response.status !== probe.expectStatus) wrong.push(`expected status ${probe.expectStatus}`);
  if (probe.expectBody !== null && !response.body.includes(probe.expectBody)) wrong.push(`the body does not contain ${JSON.stringify(probe.expectBody)}`);
  if (probe.releaseIdField !== null && releaseId === null) wrong.push(`the body has no text in field ${probe.releaseIdField}`);
  if (releaseId !== null && expectedReleaseId !== null && releaseId !== expectedReleaseId) wrong.push(`it names release ${releaseId}, expected ${expectedReleaseId}`);
  const shown = response.body.length > shownBytes ? `${response.body.slice(0, shownBytes)}…` : response.body;
  const came = `${response.status} ${shown.replaceAll(/\s+/g, ' ').trim()}`.trim();
  return { passed: wrong.length === 0, releaseId, answer: wrong.length === 0 ? came : `${came} (${wrong.join('; ')})` };
}

/** A field of a JSON document, by its path with dots. Only a text that is not empty counts. */
function readField(body: string, path: string): ReleaseId | null {
  try {
    let value: unknown = JSON.parse(body);
    for (const key of path.split('.')) value = typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
    return typeof value === 'string' && value !== '' ? (value as ReleaseId) : null;
  } catch {
    return null;
  }
}

async function get(probe: Probe, { port, tlsName }: { readonly port: number; readonly tlsName?: string }, cancel?: AbortSignal): Promise<HttpAnswer> {
  const limit = AbortSignal.timeout(Math.max(1, probe.timeoutSeconds * 1000));
  const signal = cancel ? AbortSignal.any([limit, cancel]) : limit;
  const say = (error: unknown): Error => {
    if (cancel?.aborted) return new Error('cancelled');
    if (limit.aborted) return new Error(`no complete answer within ${probe.timeoutSeconds} s`);
    const { code, message } = error as NodeJS.ErrnoException;
    return new Error(code === 'ECONNREFUSED' ? `nobody listens on port ${port} (ECONNREFUSED)` : message || code || 'unknown error');
  };
  const secure = tlsName === undefined ? null : await import('node:https');
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(say(error));
    const options = { host: '127.0.0.1', port, path: probe.path, method: 'GET', agent: false, signal } as const;
    const headers = { connection: 'close', 'user-agent': 'fairlead-probe', accept: 'application/json, */*' };
    const asking = secure === null ? request({ ...options, headers }) : secure.request({ ...options, headers: { ...headers, host: tlsName }, servername: tlsName, rejectUnauthorized: false });
    asking.on('error', fail);
    asking.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const finish = () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).subarray(0, maxBodyBytes).toString('utf8') });
      response.on('error', fail);
      response.on('end', finish);
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes < maxBodyBytes) return;
        finish();
        asking.destroy();
      });
    });
    asking.end();
  });
}
