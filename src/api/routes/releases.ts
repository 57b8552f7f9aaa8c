import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import {
  ArtifactSignature,
  channelHeader,
  ReleaseChannelAnswer,
  ReleaseChannelBody,
  ReleaseDetail,
  ReleaseList,
  ReleaseListQuery,
  ReleaseParams,
  ReleasePublishAnswer,
  ReleasePublishHeaders,
  signatureHeader,
} from '../../contract/index.ts';
import type { Artifact, ArtifactRef } from '../../domain/bundle/artifact.ts';
import type { Channel } from '../../domain/release-check/channel.ts';
import { FairleadError } from '../../domain/failure.ts';
import { actorOf, callerOf } from '../api.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { noteChange } from '../auditing.ts';
import { answerOnce, MutationHeaders } from '../idempotency.ts';
import { pageOf } from '../page.ts';
import { demandScope, ofProduct, withinScope } from '../scopes.ts';
import { uploadBody } from '../stream-schema.ts';
import { unknown } from '../unknown.ts';

const tags = ['releases'];

export function releaseRoutes(app: Api, dependencies: ApiDependencies): void {
  const { stores, artifactStore, settings } = dependencies;

  app.get('/api/releases', { schema: { tags, summary: 'Published artifacts, newest first', querystring: ReleaseListQuery, response: { 200: ReleaseList } } }, async (request) => {
    const { rows, nextBefore } = await pageOf({ ...request.query, ...(await withinScope(request, stores)) }, (filter) => stores.releases.list(filter), (release) => release.sha256);
    return { releases: rows, nextBefore };
  });

  app.get(
    '/api/releases/:product/:releaseId',
    { schema: { tags, summary: 'A release with its artifacts and manifests', params: ReleaseParams, response: { 200: ReleaseDetail } } },
    async ({ params }) => {
      const { product, releaseId } = params;
      const published = await stores.releases.list({ product, releaseId, limit: 100 });
      if (published.length === 0) {
        const names = (await stores.releases.list({ product, limit: 100 })).map((release) => release.releaseId);
        throw unknown('unknown_release', `Release "${releaseId}" of ${product} was never published.`, `Releases of ${product}, newest first`, names, `Nothing of ${product} was published.`);
      }
      const artifacts = await Promise.all(published.map(async (release) => ({ ...release, manifest: { ...(await stores.releases.findByDigest(release.sha256))?.manifest } as Record<string, unknown> })));
      return { product, releaseId, artifacts };
    },
  );

  app.put(
    '/api/releases/:product/:releaseId/channel',
    { schema: { tags, summary: 'Move a release to another channel', description: 'From beta to stable, once it has proved itself: hosts that follow the channel find it with the next check.', headers: MutationHeaders, params: ReleaseParams, body: ReleaseChannelBody, response: { 200: ReleaseChannelAnswer } } },
    async (request, reply) => {
      const { product, releaseId } = request.params;
      const { channel } = request.body;
      const answer = await answerOnce<ReleaseChannelAnswer>(stores.idempotency, request, reply, async () => {
        const known = await stores.releases.list({ product, releaseId, limit: 1 });
        if (known[0] === undefined) throw unknown('unknown_release', `Release "${releaseId}" of ${product} was never published.`, `Releases of ${product}, newest first`, (await stores.releases.list({ product, limit: 100 })).map((release) => release.releaseId), `Nothing of ${product} was published.`);
        await stores.audit.append({ at: new Date().toISOString(), event: 'release.moved', actor: actorOf(callerOf(request)), subject: `release/${product}/${releaseId}`, runId: null, detail: { before: known[0].channel, after: channel } });
        const before = (await stores.releases.moveTo(product, releaseId, channel)) ?? channel;
        return { status: 200, body: { product, releaseId, channel, before } };
      });
      return answer.body;
    },
  );

  // A parser of its own within this scope: the body stays a stream.
  app.register(async (scope) => {
    scope.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
    scope.post(
      '/api/releases',
      {
        schema: {
          tags,
          summary: 'Publish a bundle',
          description: 'The bundle is checked whole before it is kept. The same bundle again changes nothing; another one under a published release id is refused.',
          consumes: ['application/octet-stream'],
          headers: ReleasePublishHeaders.extend(MutationHeaders.shape),
          body: uploadBody,
          response: { 200: ReleasePublishAnswer, 201: ReleasePublishAnswer },
        },
      },
      async (request, reply) => {
        const signature = signatureOf(request.headers[signatureHeader] as string | undefined);
        const channel = request.headers[channelHeader] as Channel | undefined;
        const upload = await receive(request.body as Readable);
        try {
          const answer = await answerOnce(stores.idempotency, request, reply, () => publish(request, upload, signature, channel), [upload.sha256, signature, channel ?? null]);
          return await reply
            .code(answer.status as 200 | 201)
            .header('location', answer.body.links.self)
            .send(answer.body);
        } finally {
          await rm(upload.file, { force: true });
        }
      },
    );
  });

  async function publish(request: FastifyRequest, upload: Upload, signature: Artifact['signature'], channel: Channel | undefined): Promise<{ status: number; body: ReleasePublishAnswer }> {
    const actor = actorOf(callerOf(request));
    const inspected = await dependencies.inspect(upload.file);
    demandScope(request, ofProduct(inspected.product));
    if (inspected.sha256 !== upload.sha256) throw new Error(`${upload.file} changed between upload and inspection`);
    const artifact: Artifact = { ...inspected, signature };
    // First the bytes: whoever sees a release in the catalog can download it.
    await artifactStore.put(artifact.sha256, artifact.sizeBytes, createReadStream(upload.file));
    const state = await stores.releases.publish(artifact, actor, channel);
    await stores.audit.append(
      {
        at: new Date().toISOString(),
        event: 'release.published',
        actor,
        subject: `release/${artifact.product}/${artifact.releaseId}`,
        runId: null,
        detail: { role: artifact.role, profile: artifact.profile, sha256: artifact.sha256, sizeBytes: artifact.sizeBytes, signedBy: signature?.keyId ?? null, channel: channel ?? null },
      },
      `release.published:${artifact.sha256}`,
    );
    const { manifest: _manifest, ...reference } = artifact;
    noteChange(request, { after: { state, ...reference } });
    const links = { self: `/api/releases/${artifact.product}/${artifact.releaseId}`, artifact: `/api/artifacts/${artifact.sha256}` };
    return { status: state === 'published' ? 201 : 200, body: { state, artifact: reference satisfies ArtifactRef, links } };
  }

  interface Upload {
    readonly file: string;
    readonly sha256: string;
  }

  /** Writes the body to a file of its own. Whatever goes wrong, the file is gone again. */
  async function receive(body: Readable | undefined): Promise<Upload> {
    if (body === undefined || typeof body.pipe !== 'function') throw noBundle();
    await mkdir(settings.uploadDirectory, { recursive: true, mode: 0o700 });
    const file = join(settings.uploadDirectory, `upload-${randomBytes(8).toString('hex')}`);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      const handle = await open(file, 'wx', 0o600);
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          bytes += chunk.byteLength;
          if (bytes > settings.maxArtifactBytes) throw tooLarge(settings.maxArtifactBytes);
          hash.update(chunk);
          await handle.writeFile(chunk);
        }
      } finally {
        await handle.close();
      }
      if (bytes === 0) throw noBundle();
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
    return { file, sha256: hash.digest('hex') };
  }
}

function signatureOf(header: string | undefined): Artifact['signature'] {
  if (header === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(header);
  } catch {
    throw badSignature('it is no JSON');
  }
  const parsed = ArtifactSignature.safeParse(value);
  if (!parsed.success) throw badSignature(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  return parsed.data;
}

const badSignature = (why: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'invalid_signature_header', message: `Header ${signatureHeader} is not valid: ${why}`, hint: 'It must be {"keyId":"<16 hexadecimal digits>","value":"<base64>"}.' });

const tooLarge = (limit: number): FairleadError =>
  new FairleadError({ class: 'request', code: 'artifact_too_large', message: `The bundle is larger than ${limit} bytes, the limit of this server.`, hint: 'Make the bundle smaller, or raise the limit of the API.' });

const noBundle = (): FairleadError =>
  new FairleadError({ class: 'request', code: 'no_bundle', message: 'The request has no bundle.', hint: 'Send the file as the body, with content-type application/octet-stream.' });
