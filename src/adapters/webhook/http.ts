import type { IncomingMessage } from 'node:http';
import { FairleadError, messagesOf } from '../../domain/failure.ts';
import { hideSecrets } from '../../domain/secret-text.ts';
import type { WebhookSender } from '../../ports/webhook-sender.ts';
import type { WebhookTarget } from '../../ports/webhook-store.ts';
import { createOutgoingRequest, type LookUpAll } from '../outgoing/get.ts';
import { signedHeaders } from './signature.ts';

export const sendTimeoutMs = 10_000;
/** Of the answer; it is for people who look for why. */
const readBytes = 2_048;
const keptCharacters = 300;

export interface HttpSenderOptions {
  /** Addresses and networks that may be asked although they are refused otherwise. */
  readonly allowed?: readonly string[];
  readonly lookUpAll?: LookUpAll;
  /** Default 10000. */
  readonly timeoutMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Sends by POST, through the checks of every outgoing request: the name is resolved once and every address held against what is refused; redirects are not followed. */
export function createHttpWebhookSender({ allowed, lookUpAll, timeoutMs = sendTimeoutMs, now = Date.now }: HttpSenderOptions = {}): WebhookSender {
  const ask = createOutgoingRequest(allowed, lookUpAll);
  return {
    async send(target, delivery, body, cancel) {
      const headers = async () => ({ accept: '*/*', 'content-type': 'application/json', ...signedHeaders(target.secret, delivery, Math.floor(now() / 1_000), body) });
      try {
        const { status, retryAfter, text } = await ask(target.url, { method: 'POST', body, headers, timeoutMs, cancel }, async (response) => ({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'] ?? null,
          text: await startOf(response),
        }));
        return { result: { kind: 'answered', status, retryAfter }, answer: shown(`${status} ${text}`, target) };
      } catch (error) {
        const kind = error instanceof FairleadError && error.reason.class === 'request' ? 'refused' : 'failed';
        const why = shown(messagesOf(error).join(': '), target);
        return { result: { kind, why }, answer: why };
      }
    },
  };
}

/** The first bytes of an answer; the rest is not waited for. */
async function startOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= readBytes) break;
  }
  return Buffer.concat(parts).subarray(0, readBytes).toString('utf8');
}

/** A receiver may say back what it was sent, and its address may be the secret of a chat service. */
function shown(text: string, { url, secret }: WebhookTarget): string {
  const { pathname, search } = new URL(url);
  const path = pathname.length > 1 ? pathname : null;
  const hidden = [secret, secret.replace(/^whsec_/, ''), search, path].reduce<string>((left, part) => (part === null || part === '' ? left : left.replaceAll(part, '[redacted]')), text);
  const line = hideSecrets(hidden).replaceAll(/\s+/g, ' ').trim();
  return line.length <= keptCharacters ? line : `${line.slice(0, keptCharacters - 1)}…`;
}
