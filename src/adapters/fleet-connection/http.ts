import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

/** The API answered, and not with what was asked for. */
export class RefusedByApi extends Error {
  readonly status: number;

  constructor(what: string, status: number, text: string) {
    super(`${what} answered ${status}: ${text.slice(0, 400)}`);
    this.name = 'RefusedByApi';
    this.status = status;
  }
}

/** One request with JSON in and out. @throws RefusedByApi, or the system's error; what does not answer within 5 s has failed */
export function postJson(url: URL, headers: Readonly<Record<string, string>>, body: object, maxAnswerBytes: number): Promise<Record<string, unknown>> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const all = { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const request = send(url, { method: 'POST', headers: all, agent: false, timeout: 5_000 }, (response) => {
      readText(response, maxAnswerBytes).then((answer) => {
        if (response.statusCode !== 200) reject(new RefusedByApi(url.href, response.statusCode ?? 0, answer));
        else resolve(JSON.parse(answer) as Record<string, unknown>);
      }).catch(reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${url.href} did not answer within 5 s`)));
    request.on('error', reject);
    request.end(text);
  });
}

/** @throws Error where it is longer */
export async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
