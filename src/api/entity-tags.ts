import { createHash } from 'node:crypto';
import type { Api } from './api.ts';

/** What is asked again and again and seldom changes. A bundle's tag is its digest; its own route sees to that. */
const tagged: ReadonlySet<string> = new Set(['/api/openapi.json', '/api/releases', '/api/releases/:product/:releaseId', '/api/hosts', '/api/hosts/:id']);

/**
 * Gives answers of some routes an entity tag (RFC 9110 section 8.8.3), and answers 304 to who has the same already (section 13.1.2). The tag is the digest of what is sent, so that keys with other
 * scopes, which see other answers, have other tags.
 */
export function tagAnswers(app: Api): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode !== 200 || typeof payload !== 'string' || !tagged.has(request.routeOptions.url ?? '') || !/^(GET|HEAD)$/.test(request.method)) return payload;
    const etag = `"${createHash('sha256').update(payload).digest('base64url')}"`;
    // Kept by whoever asked, and asked about again each time.
    void reply.headers({ etag, 'cache-control': 'private, no-cache', vary: 'authorization, x-runtime-api-key' });
    if (!listsTag(request.headers['if-none-match'], etag)) return payload;
    void reply.code(304).removeHeader('content-type').removeHeader('content-length');
    // Null, not an empty text: that one would be told by a content-length, which is the other answer's (section 8.6).
    return null;
  });
}

/** Whether If-None-Match names the tag; compared weakly, as section 13.1.2 asks for. */
export const listsTag = (header: string | undefined, etag: string): boolean =>
  header !== undefined && (header.trim() === '*' || header.split(',').some((each) => each.trim().replace(/^W\//, '') === etag));
