import { CodecPayloads } from '../../contract/index.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { CodedPayload } from '../../ports/payload-codec.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';

const tags = ['codec'];
/** Histories come in pages of some megabytes. */
const bodyLimit = 16 * 2 ** 20;

/**
 * A codec server as Temporal's Web UI (`--ui-codec-endpoint URL/api/codec`, from the user's browser) and its command line (`--codec-endpoint`, `--codec-auth`) call
 * it: https://docs.temporal.io/production-deployment/data-encryption. Whoever asks shows a key of Fairlead's in `Authorization`; the Web UI's origin, and no other
 * one, may do so from a browser.
 */
export function codecRoutes(app: Api, { codec = null }: ApiDependencies): void {
  for (const way of ['decode', 'encode'] as const) {
    const path = `/api/codec/${way}`;
    app.options(path, { schema: { hide: true } }, async (_request, reply) =>
      reply.code(204).headers({ 'access-control-allow-methods': 'POST', 'access-control-allow-headers': 'authorization, content-type, x-namespace', 'access-control-max-age': '600' }).send(),
    );
    app.post(
      path,
      { bodyLimit, schema: { tags, summary: way === 'decode' ? 'Open encrypted payloads of Temporal' : 'Encrypt payloads for Temporal', body: CodecPayloads, response: { 200: CodecPayloads } } },
      async (request, reply) => {
        if (codec === null) throw noKeys();
        const payloads = await codec[way](request.body.payloads.map(fromJson));
        void reply.header('cache-control', 'no-store');
        return { payloads: payloads.map(toJson) };
      },
    );
  }
}

/** Lets the Web UI's pages read the answers, and those of nobody else. Before keys are looked for: a refusal has to be readable in the browser, too. */
export function codecOrigin(app: Api, { settings }: ApiDependencies): void {
  const origin = settings.temporalUi === null ? null : new URL(settings.temporalUi.url).origin;
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith('/api/codec/')) return;
    void reply.header('vary', 'origin');
    if (origin !== null && request.headers.origin === origin) void reply.headers({ 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' });
  });
}

const fromJson = ({ metadata = {}, data }: CodecPayloads['payloads'][number]): CodedPayload => ({
  metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  data: Buffer.from(data ?? '', 'base64'),
});

const toJson = ({ metadata, data }: CodedPayload): CodecPayloads['payloads'][number] => ({
  metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')])),
  ...(data && data.length > 0 ? { data: Buffer.from(data).toString('base64') } : {}),
});

const noKeys = (): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'payload_codec_off',
    message: 'This API has no keys for payloads: they lie in Temporal as they are.',
    hint: 'Take the codec endpoint out of the Web UI, or give the API the keys: FAIRLEAD_TEMPORAL_CODEC_KEY_FILE.',
  });
