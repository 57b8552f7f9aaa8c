import * as fs from 'node:fs/promises';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { dirname } from 'node:path';
import { FairleadError } from '../../domain/failure.ts';
import { fleetHeaders } from '../../domain/fleet/protocol.ts';
import type { HostId } from '../../domain/ids.ts';
import type { ArtifactSource } from '../../ports/artifact-source.ts';
import { ensureDirectory, isMissing } from '../files/durable.ts';

interface Options {
  /** Address of the API, for example `http://127.0.0.1:7070`. */
  readonly apiUrl: string;
  readonly host: HostId;
  /** The agent's key; read anew for every request, so that a rotated one is taken up. */
  readonly readKey: () => Promise<string>;
}

/** A connection on which nothing arrives for this long counts as dead. */
const silenceLimitMs = 15_000;

/**
 * Fetches bundles from control's artifact endpoint. Resumes with Range and If-Range (RFC 9110 sections 14.2 and 13.1.5), where the ETag is
 * the digest: a server that has another file answers with the whole of it, and the download starts over.
 */
export function createHttpArtifactSource({ apiUrl, host, readKey }: Options): ArtifactSource {
  return {
    async download(artifact, file, onProgress, cancel) {
      await ensureDirectory(dirname(file), 0o700);
      const url = new URL(`/api/artifacts/${artifact.sha256}`, apiUrl);
      let there = await sizeOf(file);
      if (there > artifact.sizeBytes) {
        await fs.rm(file, { force: true });
        there = 0;
      }
      if (there === artifact.sizeBytes) return { bytes: there, resumedFrom: there };

      const headers: Record<string, string> = { authorization: `Bearer ${await readKey()}`, accept: 'application/octet-stream', [fleetHeaders.host]: host };
      if (there > 0) Object.assign(headers, { range: `bytes=${there}-`, 'if-range': `"${artifact.sha256}"` });
      const response = await open(url, headers, cancel);
      const resumedFrom = response.statusCode === 206 ? there : 0;
      if (response.statusCode !== 206 && response.statusCode !== 200) {
        throw refusal(url, response.statusCode ?? 0, await textOf(response), artifact.releaseId);
      }

      const handle = await fs.open(file, resumedFrom > 0 ? 'r+' : 'w', 0o600);
      let written = resumedFrom;
      try {
        for await (const chunk of response as AsyncIterable<Buffer>) {
          if (written + chunk.length > artifact.sizeBytes) {
            response.destroy();
            await handle.truncate(0);
            throw new FairleadError({
              class: 'release',
              code: 'size_mismatch',
              message: `${url} sent more than the ${artifact.sizeBytes} bytes that the release declares.`,
              hint: 'The stored artifact is not the one that was published. Publish the release again under a new id.',
            });
          }
          await onDisk(() => writeAll(handle, chunk, written));
          written += chunk.length;
          onProgress(written, artifact.sizeBytes);
        }
        await onDisk(() => handle.sync());
      } catch (error) {
        if (error instanceof DiskFault) throw error.cause;
        if (error instanceof FairleadError || cancel?.aborted) throw error;
        throw away(url, error);
      } finally {
        await handle.close();
      }
      if (written < artifact.sizeBytes) throw away(url, new Error(`the answer ended after ${written} of ${artifact.sizeBytes} bytes`));
      return { bytes: written, resumedFrom };
    },
  };
}

/** The host's own disk failed, not the way to the endpoint: there is nothing to wait for. */
class DiskFault extends Error {}

async function onDisk(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (cause) {
    throw new DiskFault('the disk failed', { cause });
  }
}

/** write(2) may take less than it was given, on a full disk above all. */
async function writeAll(handle: fs.FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) offset += (await handle.write(chunk, offset, chunk.length - offset, position + offset)).bytesWritten;
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await fs.stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

function open(url: URL, headers: Record<string, string>, cancel: AbortSignal | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(url, { headers, agent: false, ...(cancel ? { signal: cancel } : {}) }, (response) => {
      response.setTimeout(silenceLimitMs, () => response.destroy(new Error(`nothing arrived for ${silenceLimitMs / 1000} s`)));
      resolve(response);
    });
    request.setTimeout(silenceLimitMs, () => request.destroy(new Error(`no answer for ${silenceLimitMs / 1000} s`)));
    request.on('error', (error) => reject(cancel?.aborted ? error : away(url, error)));
    request.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) if (text.length < 2000) text += String(chunk);
  return text.slice(0, 400);
}

function away(url: URL, cause: unknown): FairleadError {
  return new FairleadError(
    {
      class: 'dependency',
      code: 'artifact_endpoint_unavailable',
      message: `The artifact endpoint ${url.origin} is away: ${cause instanceof Error ? cause.message : String(cause)}.`,
      hint: 'See that the API runs and that this host reaches it (FAIRLEAD_API_URL). The download goes on where it stopped.',
    },
    { cause, retryable: true },
  );
}

function refusal(url: URL, status: number, text: string, releaseId: string): FairleadError {
  if (status >= 500 || status === 429) return away(url, new Error(`it answered ${status}: ${text}`));
  const hints: Record<number, [string, string]> = {
    401: ['agent_key_refused', "The agent's key is not known: write a valid one to /etc/fairlead/agent.key on the host."],
    403: ['agent_key_refused', "The agent's key may not read artifacts: give it one of role agent."],
    404: ['artifact_missing', `The bundle of ${releaseId} is not in the artifact store. Publish the same file again: fairlead release publish FILE`],
    416: ['artifact_truncated', `The bundle of ${releaseId} in the artifact store is shorter than what was published. Publish the same file again: fairlead release publish FILE`],
  };
  const [code, hint] = hints[status] ?? ['artifact_refused', 'See the log of the API.'];
  return new FairleadError({ class: 'dependency', code, message: `The artifact endpoint ${url.origin} answered ${status} for release ${releaseId}: ${text}`, hint });
}
