import type { AddressInfo } from 'node:net';
import type { FleetTimes } from '../../src/api/dependencies.ts';
import type { HostDetail, SessionList } from '../../src/contract/index.ts';
import { startApi, type TestApi } from './api.ts';
import { connectAgent, isRefused, type Refused, type TestAgent } from './fleet-client.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { host, product } from './samples.ts';

/** A copy of the API, and where it listens. */
export interface ApiCopy {
  readonly api: TestApi;
  readonly url: string;
}

type Connecting = Partial<Parameters<typeof connectAgent>[0]>;
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Nothing happens by itself within a test, unless it asks for it. */
const quiet: FleetTimes = { pingMs: 60_000, answerMs: 10_000, helloMs: 60_000, sweepMs: 60_000 };

/** Copies of the API on one database, with agents that connect to them. Ends after each test what it started. */
export function fleetBed() {
  let postgres: TestPostgres;
  let copies: ApiCopy[] = [];
  let agents: TestAgent[] = [];
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(async () => {
    await postgres?.end();
  });
  afterEach(async () => {
    for (const agent of agents) agent.socket.terminate();
    for (const { api } of [...copies].reverse()) await api.end();
    [copies, agents] = [[], []];
  });

  /** The keys are those of the first copy. */
  const first = (): TestApi => copies[0]!.api;

  async function ask<Body>({ api }: ApiCopy, path: string, method: Method = 'GET', body?: object, key = first().adminKey): Promise<{ status: number; body: Body }> {
    const answer = await api.app.inject({ method, url: path, headers: { authorization: `Bearer ${key}` }, ...(body ? { payload: body } : {}) });
    return { status: answer.statusCode, body: answer.json() as Body };
  }

  return {
    ask,
    async copyOfApi(fleet: FleetTimes = {}): Promise<ApiCopy> {
      const settings = { copy: `copy-${copies.length + 1}`, fleet: { ...quiet, ...fleet } };
      const api = await startApi(postgres, { settings, ...(copies.length > 0 ? { databaseUrl: first().databaseUrl } : {}) });
      await api.app.listen({ host: '127.0.0.1', port: 0 });
      const started = { api, url: `http://127.0.0.1:${(api.app.server.address() as AddressInfo).port}` };
      copies.push(started);
      return started;
    },
    /** Ends the copy that was started last. */
    endLast: (): Promise<void> => copies.pop()!.api.end(),
    async connect(to: ApiCopy, more: Connecting = {}): Promise<TestAgent> {
      const found = await connectAgent({ url: to.url, key: first().agentKey, ...more });
      if (isRefused(found)) throw new Error(JSON.stringify(found));
      agents.push(found);
      return found;
    },
    async refused(to: ApiCopy, more: Connecting = {}): Promise<Refused> {
      const found = await connectAgent({ url: to.url, key: first().agentKey, ...more });
      if (!isRefused(found)) throw new Error('it was let in');
      return found;
    },
    /** Over HTTP. */
    hello: (to: ApiCopy, key: string, of: string, more: object = {}) => ask<{ code?: string }>(to, `/api/hosts/${of}/hello`, 'POST', { role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [], ...more }, key),
    statusOf: async (to: ApiCopy) => (await ask<HostDetail>(to, `/api/hosts/${host}`)).body,
    sessionsOf: async (to: ApiCopy) => (await ask<SessionList>(to, `/api/hosts/${host}/sessions`)).body.sessions,
    auditOf: async (to: ApiCopy, event: string) => (await to.api.stores.audit.list({ limit: 200 })).filter((row) => row.event === event),
  };
}

/** What a hello says that the host runs. */
export const told = (releaseId: string | null, more: object = {}) => ({ product, releaseId, artifactRole: 'node', artifactProfile: 'default', ...more });
