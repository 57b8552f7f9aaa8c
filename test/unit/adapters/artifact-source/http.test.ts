import type { HostId } from '../../../../src/domain/ids.ts';
import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpArtifactSource } from '../../../../src/adapters/artifact-source/http.ts';
import type { FairleadError } from '../../../../src/domain/failure.ts';
import { asFairleadError } from '../../../../src/domain/system-failure.ts';
import { sampleArtifact } from '../../../support/host-samples.ts';

const bytes = Buffer.alloc(100_000, 7);
const artifact = sampleArtifact({ sizeBytes: bytes.length });

let work: string;
let server: Server;
let status = 200;
let body: Buffer = bytes;
beforeAll(async () => {
  work = await fs.mkdtemp(join(tmpdir(), 'fairlead-download-'));
  server = createServer((_request, response) => response.writeHead(status, { 'content-length': body.length }).end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await fs.rm(work, { recursive: true, force: true });
});
beforeEach(() => {
  status = 200;
  body = bytes;
});

const download = (file: string) => createHttpArtifactSource({ host: 'h1' as HostId, apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, readKey: async () => 'key' }).download(artifact, file, () => undefined);
const failureOf = async (file: string): Promise<FairleadError> => asFairleadError(await download(file).then(() => new Error('it worked'), (error: unknown) => error), 'downloadBundle');

test('the disk is full: that is said and not waited out as if the endpoint were away', async () => {
  const file = join(work, 'full');
  await fs.symlink('/dev/full', file);
  const { reason, retryable } = await failureOf(file);
  expect([reason.class, reason.code, retryable]).toEqual(['host', 'disk_full', false]);
});

test('the answer breaks off: what came is kept, and the rest is waited for', async () => {
  body = bytes.subarray(0, 40_000);
  const file = join(work, 'cut');
  const { reason, retryable } = await failureOf(file);
  expect([reason.class, reason.code, retryable]).toEqual(['dependency', 'artifact_endpoint_unavailable', true]);
  expect((await fs.stat(file)).size).toBe(40_000);
});

test.each([
  [401, 'agent_key_refused', false, 'agent.key'],
  [403, 'agent_key_refused', false, 'role agent'],
  [404, 'artifact_missing', false, 'fairlead release publish'],
  [416, 'artifact_truncated', false, 'fairlead release publish'],
  [429, 'artifact_endpoint_unavailable', true, 'FAIRLEAD_API_URL'],
  [503, 'artifact_endpoint_unavailable', true, 'FAIRLEAD_API_URL'],
])('answered with %i: %s, and what to do', async (answered, code, retryable, hint) => {
  status = answered;
  const { reason, retryable: again } = await failureOf(join(work, `answer-${answered}`));
  expect([reason.class, reason.code, again]).toEqual(['dependency', code, retryable]);
  expect(reason.hint).toContain(hint);
});

test('a place that cannot be written to is the host, not the endpoint', async () => {
  await fs.writeFile(join(work, 'no-directory'), '');
  const { reason } = await failureOf(join(work, 'no-directory/bundle'));
  expect(reason.code).not.toBe('artifact_endpoint_unavailable');
});
