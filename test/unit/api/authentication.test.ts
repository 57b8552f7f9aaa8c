import { readFile } from 'node:fs/promises';
import { makeKeyText } from '../../../src/adapters/postgres/index.ts';
import { openApiText } from '../../../src/api/document.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';

let postgres: TestPostgres;
let api: TestApi;

beforeAll(async () => {
  postgres = await startPostgres();
  api = await startApi(postgres);
});
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH';
  readonly path: string;
  readonly security: unknown;
  readonly summary?: string;
}

async function operations(): Promise<Operation[]> {
  const document = (await api.app.inject('/api/openapi.json')).json() as { paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>> };
  return Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase() as Operation['method'], path })));
}

const open = new Set(['/health', '/health/live', '/health/ready', '/api/enrolments/exchange']);
const exampleOf = (path: string): string => path.replace('{sha256}', 'a'.repeat(64)).replaceAll(/\{\w+\}/g, 'h1');

test('every route but health, the exchange of a token and the OpenAPI document refuses a missing, an unknown, a malformed and a revoked key', async () => {
  const closed = (await operations()).filter(({ path }) => !open.has(path));
  expect(closed.length).toBeGreaterThanOrEqual(20);
  const revoked = await api.stores.keys.create('gone', 'admin');
  await api.stores.keys.revoke(revoked.identity.id);
  for (const { method, path } of closed) {
    for (const authorization of [undefined, `Bearer ${makeKeyText('admin')}`, 'Bearer hunter2', `Basic ${api.adminKey}`, `Bearer ${revoked.text}`]) {
      const answer = await api.app.inject({ method, url: exampleOf(path), headers: authorization === undefined ? {} : { authorization } });
      expect({ method, path, status: answer.statusCode }).toEqual({ method, path, status: 401 });
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.headers['www-authenticate']).toContain('Bearer');
      expect(answer.json()).toMatchObject({ status: 401, class: 'request', hint: expect.stringContaining('fairlead keys create') });
    }
  }
});

test('every route says in the document who may use it, and has a summary', async () => {
  for (const { method, path, security, summary } of await operations()) {
    expect({ method, path, security }).toEqual({ method, path, security: open.has(path) ? [] : [{ bearer: [] }, { runtimeApiKey: [] }] });
    expect(summary).toBeTruthy();
  }
});

test('an agent key opens the doors of agents and no other', async () => {
  const allowed: string[] = [];
  for (const { method, path } of (await operations()).filter((each) => !open.has(each.path))) {
    const answer = await api.app.inject({ method, url: exampleOf(path), headers: { authorization: `Bearer ${api.agentKey}` } });
    if (answer.statusCode !== 403) allowed.push(`${method} ${path}`);
    else expect(answer.json()).toMatchObject({ code: 'not_allowed', hint: expect.stringMatching(/^Use a key of role (viewer|operator|approver|admin)\.$/) });
  }
  expect(allowed.sort()).toEqual(['GET /api/artifacts/{sha256}', 'GET /api/fleet', 'POST /api/hosts/{id}/hello']);
});

test('no key stands in the log, whatever was sent', async () => {
  await api.app.inject({ url: `/api/runs?key=${api.adminKey}`, headers: { authorization: `Bearer ${api.adminKey}` } });
  await api.app.inject({ url: `/api/runs/${api.agentKey}`, headers: { authorization: `Bearer ${api.adminKey}` } });
  expect(api.log.length).toBeGreaterThan(0);
  for (const text of [api.adminKey, api.agentKey]) expect(api.log.join('')).not.toContain(text.slice(9, 40));
});

test('the document of the API is the one in docs/openapi.json', async () => {
  const kept = await readFile(new URL('../../../docs/openapi.json', import.meta.url), 'utf8').catch(() => 'missing');
  // Where this fails: npm run docs
  expect(await openApiText()).toBe(kept);
});

test('the document names no schema that it does not hold', async () => {
  const document = (await api.app.inject('/api/openapi.json')).json() as { components: { schemas: Record<string, unknown> } };
  const named = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThan(20);
  for (const name of named) expect(Object.keys(document.components.schemas)).toContain(name);
});
