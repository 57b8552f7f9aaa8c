import { createHmac } from 'node:crypto';

/**
 * The headers by which a receiver knows who sent it, that it is whole, and that it is not an old one again: Standard Webhooks (github.com/standard-webhooks, spec/standard-webhooks.md),
 * symmetric. HMAC-SHA-256 over id, time and body with dots between them, under the bytes of the secret.
 *
 * @param secret `whsec_` and base64 @param at when it is sent, seconds since 1970
 */
export function signedHeaders(secret: string, id: string, at: number, body: string): Readonly<Record<string, string>> {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${at}.${body}`, 'utf8').digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` };
}
