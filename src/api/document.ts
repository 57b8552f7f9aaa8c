import { readFileSync } from 'node:fs';
import { createApi } from './index.ts';
import type { ApiDependencies } from './dependencies.ts';

/** The OpenAPI document as it stands in docs/openapi.json. Nothing is asked of any dependency: only schemas are read. */
export async function openApiText(): Promise<string> {
  const untouched = new Proxy({}, { get: (_target, name) => () => Promise.reject(new Error(`${String(name)} was asked while the document was made`)) });
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  const dependencies = {
    settings: { version, releaseId: null, temporalUi: null, uploadDirectory: '', maxArtifactBytes: 0 },
    stores: { runs: untouched, keys: untouched, releases: untouched, hosts: untouched, audit: untouched, idempotency: untouched, statistics: untouched, sessions: untouched, fleet: untouched, enrolments: untouched },
    artifactStore: untouched,
    runs: untouched,
    fleetBus: { subscribe: () => () => undefined },
    database: untouched,
    inspect: () => Promise.reject(new Error('inspect was asked while the document was made')),
    logger: undefined,
  } as unknown as ApiDependencies;
  const app = createApi(dependencies);
  await app.ready();
  const text = `${JSON.stringify(app.swagger(), null, 2)}\n`;
  await app.close();
  return text;
}

if (import.meta.main) process.stdout.write(await openApiText());
