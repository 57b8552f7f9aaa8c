import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { ArtifactParams } from '../../contract/index.ts';
import { fleetHeaders } from '../../domain/fleet/protocol.ts';
import { callerOf, type Api } from '../api.ts';
import { requireOwnHost } from '../authentication.ts';
import { readByteRange } from '../byte-range.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { FairleadError } from '../../domain/failure.ts';
import { listsTag } from '../entity-tags.ts';
import { artifactBody, partialArtifactBody } from '../stream-schema.ts';

export function artifactRoutes(app: Api, { artifactStore }: ApiDependencies): void {
  app.get(
    '/api/artifacts/:sha256',
    {
      schema: {
        tags: ['releases'],
        summary: 'Download a bundle, or a part of it',
        description: 'One range per request (RFC 9110, section 14); the entity tag is the digest, so `If-Range` resumes safely.',
        params: ArtifactParams,
        response: { 200: artifactBody, 206: partialArtifactBody },
      },
    },
    async (request, reply) => {
      const { sha256 } = request.params;
      const named = request.headers[fleetHeaders.host];
      if (typeof named === 'string') requireOwnHost(callerOf(request), named);
      const file = await artifactStore.path(sha256);
      if (file === null) throw unknownArtifact(sha256);
      const { size } = await stat(file);
      const etag = `"${sha256}"`;
      // A name that is a digest never means other bytes.
      void reply.headers({ etag, 'accept-ranges': 'bytes', 'cache-control': 'private, max-age=31536000, immutable', 'content-type': 'application/octet-stream' });
      if (listsTag(request.headers['if-none-match'], etag)) return reply.code(304 as 200).send(undefined as never);

      const ifRange = request.headers['if-range'];
      // A range is for GET alone, and only for the copy that the client has a part of (sections 13.1.5 and 14.2).
      const rangeApplies = request.method === 'GET' && (ifRange === undefined || ifRange === etag);
      const range = rangeApplies ? readByteRange(request.headers.range, size) : 'whole';
      if (range === 'unsatisfiable') {
        void reply.header('content-range', `bytes */${size}`);
        throw notSatisfiable(request.headers.range ?? '', size);
      }
      if (range === 'whole') {
        void reply.header('content-length', size);
        return reply.send((request.method === 'HEAD' ? Readable.from([]) : createReadStream(file)) as never);
      }
      void reply.code(206).headers({ 'content-length': range.last - range.first + 1, 'content-range': `bytes ${range.first}-${range.last}/${size}` });
      return reply.send(createReadStream(file, { start: range.first, end: range.last }) as never);
    },
  );
}

const unknownArtifact = (sha256: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'unknown_artifact', message: `No artifact ${sha256} is stored here.`, hint: 'GET /api/releases lists what is published, with digests.' });

const notSatisfiable = (header: string, size: number): FairleadError =>
  new FairleadError({ class: 'request', code: 'range_not_satisfiable', message: `Range "${header.slice(0, 80)}" lies outside of the ${size} bytes of the artifact.`, hint: 'Start over without a range.' });
