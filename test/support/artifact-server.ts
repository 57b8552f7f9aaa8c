import * as fs from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpArtifactSource } from '../../src/adapters/artifact-source/http.ts';
import type { Artifact } from '../../src/domain/bundle/artifact.ts';
import type { HostId } from '../../src/domain/ids.ts';
import type { ArtifactSource } from '../../src/ports/artifact-source.ts';

/** Serves bundles as control does, and the agent's own client of it. */
export async function startArtifactServer(bundles: readonly { readonly file: string; readonly artifact: Artifact }[]): Promise<{ artifacts: ArtifactSource; end(): Promise<void> }> {
  const server = createServer((request, response) => {
    const found = bundles.find(({ artifact }) => request.url === `/api/artifacts/${artifact.sha256}`);
    if (found) fs.createReadStream(found.file).pipe(response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    artifacts: createHttpArtifactSource({ host: 'h1' as HostId, apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, readKey: async () => 'none' }),
    end: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}
