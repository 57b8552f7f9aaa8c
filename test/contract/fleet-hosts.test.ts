import { sql } from 'kysely';
import type { HostList } from '../../src/contract/index.ts';
import type { HostId } from '../../src/domain/ids.ts';
import { fleetBed, type ApiCopy } from '../support/fleet-bed.ts';
import { eventually } from '../support/eventually.ts';
import { host, sampleReport } from '../support/samples.ts';

/** Host states and enrolment, as people and hosts meet them at the API, on a real database. */
const { copyOfApi, connect, refused, ask, hello, statusOf, auditOf } = fleetBed();

describe('host states', () => {
  /** What a waiting shard sees, asked about a host that nobody knows as well. */
  const connectedOf = (to: ApiCopy) => to.api.stores.hosts.connected([host, 'h9'] as HostId[]);

  test('five attempts refused in a row: error, with the last reason; a decision and a session make it good', async () => {
    const to = await copyOfApi();
    const own = await connect(to);
    await own.hello();
    await (await connect(to, { bootId: 'b2' })).hello({ bootId: 'b2' });
    for (const _time of [1, 2, 3, 4]) await hello(to, to.api.agentKey, host);
    expect(await statusOf(to)).toMatchObject({ status: 'error', state: { failures: { contact: 5, last: { code: 'identity_conflict' } } } });
    await ask(to, `/api/hosts/${host}/accept`, 'POST', { bootId: 'b1', reason: 'its serial number' });
    await (await connect(to)).hello();
    expect(await statusOf(to)).toMatchObject({ status: 'connected', state: { failures: { contact: 0 } } });
  });

  test('runs that fail by the host: each counts once however often it is closed; one that succeeds makes it good; a release\'s fault does not count', async () => {
    const to = await copyOfApi();
    const { fleet } = to.api.stores;
    await (await connect(to)).hello();
    const byHost = { outcome: 'rolled_back' as const, reason: { class: 'host' as const, code: 'no_space', message: 'no room' } };
    for (let run = 1; run <= 4; run += 1) for (const _time of [1, 2]) await fleet.noteRun(sampleReport(`run-${run}`, byHost));
    await fleet.noteRun(sampleReport('run-5', { ...byHost, reason: { ...byHost.reason, class: 'release' } }));
    expect(await statusOf(to)).toMatchObject({ status: 'connected', state: { failures: { run: 4 } } });
    await fleet.noteRun(sampleReport('run-6', { outcome: 'stranded', reason: { class: 'release', code: 'probe_failed', message: 'not ready' } }));
    expect(await statusOf(to)).toMatchObject({ status: 'error', state: { failures: { run: 5, last: { code: 'probe_failed' } } } });
    await fleet.noteRun(sampleReport('run-7', { outcome: 'succeeded', reason: null }));
    expect(await statusOf(to)).toMatchObject({ status: 'connected' });
  });

  test('maintenance: by whom, why and until when; it ends by hand, or by itself; ending none is refused; all in the audit', async () => {
    const to = await copyOfApi({ sweepMs: 50 });
    await (await connect(to)).hello();
    const path = `/api/hosts/${host}/maintenance`;
    expect(await ask(to, path, 'DELETE')).toMatchObject({ status: 409, body: { code: 'not_in_maintenance' } });
    expect(await connectedOf(to)).toEqual([host]);
    const until = new Date(Date.now() + 3_600_000).toISOString();
    expect(await ask(to, path, 'PUT', { reason: 'new disks', until })).toMatchObject({ status: 200, body: { state: { phase: 'maintenance', reason: 'new disks', by: 'ci (admin)', until } } });
    expect(await statusOf(to)).toMatchObject({ status: 'maintenance', state: { link: { phase: 'connected' } } });
    expect(await connectedOf(to)).toEqual([]);
    expect(await ask(to, path, 'DELETE')).toMatchObject({ status: 200, body: { state: { phase: 'connected' } } });
    await ask(to, path, 'PUT', { reason: 'short', until: new Date(Date.now() - 1_000).toISOString() });
    expect(await statusOf(to)).toMatchObject({ status: 'connected' });
    await eventually('ended in the audit', async () => (await auditOf(to, 'host.maintenance_ended')).length === 2);
    expect(await auditOf(to, 'host.maintenance_began')).toHaveLength(2);
    expect(await ask(to, '/api/hosts/h9/maintenance', 'PUT', { reason: 'x' })).toMatchObject({ status: 404 });
  });
});

describe('enrolment', () => {
  const enrol = (to: ApiCopy, more: object = {}) => ask<{ token: string; id: string }>(to, '/api/enrolments', 'POST', { host: 'h5', ...more });
  const exchange = (to: ApiCopy, token: string, of: string | null = null) => to.api.app.inject({ method: 'POST', url: '/api/enrolments/exchange', payload: { token, host: of } });

  test('a token gives the host its own key, once; the host is pending until it is heard', async () => {
    const to = await copyOfApi();
    const { token } = (await enrol(to)).body;
    expect((await ask<HostList>(to, '/api/hosts')).body).toMatchObject({ hosts: [], pending: [{ host: 'h5', role: 'node', state: { phase: 'pending' } }] });
    expect(await ask(to, '/api/hosts/h5')).toMatchObject({ status: 404, body: { code: 'host_pending' } });
    const answer = await exchange(to, token);
    expect([answer.statusCode, answer.json()]).toMatchObject([201, { host: 'h5', role: 'node', key: expect.stringMatching(/^fl_agent_/) }]);
    const { key } = answer.json() as { key: string };
    const agent = await connect(to, { key, host: 'h5' });
    expect(await agent.hello()).toMatchObject({ type: 'heard' });
    expect((await ask<HostList>(to, '/api/hosts')).body).toMatchObject({ hosts: [{ host: 'h5', status: 'connected' }], pending: [] });
    for (const text of [token, key]) expect(to.api.log.join('') + JSON.stringify(await to.api.stores.audit.list({ limit: 100 }))).not.toContain(text.slice(10, 40));
  });

  test('a token used twice, expired, for another host, unknown, of no host for one that is there: each its code, and no key', async () => {
    const to = await copyOfApi();
    const used = (await enrol(to)).body.token;
    await exchange(to, used);
    const expired = (await enrol(to)).body;
    await to.api.database.query('ageing', (db) => sql`update enrolments set expires_at = now() where id = ${expired.id}`.execute(db));
    const cases: [string, string | null, number, string][] = [
      [used, null, 409, 'enrolment_used'],
      [expired.token, null, 410, 'enrolment_expired'],
      [(await enrol(to)).body.token, 'h6', 403, 'enrolment_other_host'],
      [used.replace(/.$/, '-'), null, 401, 'enrolment_unknown'],
      [(await enrol(to, { host: null })).body.token, 'h5', 409, 'enrolment_host_taken'],
      [(await enrol(to, { host: null })).body.token, null, 403, 'enrolment_other_host'],
    ];
    const before = (await to.api.stores.keys.list()).length;
    for (const [token, of, status, code] of cases) expect((await exchange(to, token, of)).json()).toMatchObject({ status, code });
    expect((await to.api.stores.keys.list()).length).toBe(before);
  });

  test('asked for at the same moment by two: one gets the key', async () => {
    const to = await copyOfApi();
    const { token } = (await enrol(to)).body;
    expect((await Promise.all([exchange(to, token), exchange(to, token), exchange(to, token)])).map(({ statusCode }) => statusCode).sort()).toEqual([201, 409, 409]);
  });

  test('enrolled anew: the old key opens nothing, its connection is closed, a conflict is over, and the agent that is there comes in with the new key', async () => {
    const to = await copyOfApi();
    const own = await connect(to);
    await own.hello();
    await (await connect(to, { bootId: 'b2' })).hello({ bootId: 'b2' });
    const { token } = (await enrol(to, { host })).body;
    const { key } = (await exchange(to, token)).json() as { key: string };
    expect(await refused(to)).toMatchObject({ status: 401 });
    const agent = await connect(to, { key });
    expect(await agent.hello()).toMatchObject({ type: 'heard' });
    const next = (await enrol(to, { host })).body.token;
    await exchange(to, next);
    expect(await agent.closed).toEqual({ code: 4401, reason: 're_enrolled' });
  });
});
