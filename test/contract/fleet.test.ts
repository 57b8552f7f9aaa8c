import { sql } from 'kysely';
import { maxFleetMessageBytes } from '../../src/domain/fleet/protocol.ts';
import type { HostId, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import { fleetBed, told } from '../support/fleet-bed.ts';
import type { TestAgent } from '../support/fleet-client.ts';
import { eventually } from '../support/eventually.ts';
import { host, product } from '../support/samples.ts';

/** The fleet connection with real sockets, on one database: the API's copies, and hosts that behave and misbehave. */
const bed = fleetBed();
const { copyOfApi, connect, refused, ask, hello, statusOf, sessionsOf, auditOf } = bed;

describe('before the upgrade', () => {
  test('no key, an unknown one, a person\'s, another host\'s, no name, another path: each is a problem with its code', async () => {
    const to = await copyOfApi();
    const other = await to.api.stores.keys.create('h2', 'agent');
    await to.api.stores.keys.bind(other.identity.id, 'h2' as HostId);
    const cases: [Parameters<typeof refused>[1], number, string][] = [
      [{ key: null }, 401, 'key_missing'],
      [{ key: 'fl_agent_wrong' }, 401, 'key_unknown'],
      [{ key: to.api.adminKey }, 403, 'not_allowed'],
      [{ key: other.text }, 403, 'not_this_host'],
      [{ host: 'NO NAME' }, 400, 'invalid_request'],
      [{ path: '/api/hosts' }, 404, 'unknown_route'],
    ];
    for (const [change, status, code] of cases) expect(await refused(to, change)).toMatchObject({ status, body: { status, code, detail: expect.any(String) } });
    expect(await to.api.stores.sessions.list({ host, limit: 10 })).toEqual([]);
  });

  test('a plain GET is answered with 426, and says that a proxy may be the reason', async () => {
    const to = await copyOfApi();
    expect(await ask(to, '/api/fleet', 'GET', undefined, to.api.agentKey)).toMatchObject({ status: 426, body: { code: 'upgrade_required' } });
  });

  test('a key that is nobody\'s belongs to the host that first uses it, once in the audit, and opens nothing for another one: on hello, connection and artifacts', async () => {
    const to = await copyOfApi();
    const { text, identity } = await to.api.stores.keys.create('new', 'agent');
    for (const _time of [1, 2]) expect((await hello(to, text, 'h7')).status).toBe(200);
    expect(await auditOf(to, 'key.bound')).toMatchObject([{ subject: 'host/h7', detail: { key: identity.id } }]);
    expect((await hello(to, text, 'h8')).body.code).toBe('not_this_host');
    expect(await refused(to, { key: text, host: 'h8' })).toMatchObject({ status: 403, body: { code: 'not_this_host' } });
    const download = await to.api.app.inject({ url: `/api/artifacts/${'a'.repeat(64)}`, headers: { authorization: `Bearer ${text}`, 'x-fairlead-host': 'h8' } });
    expect(download.json()).toMatchObject({ status: 403, code: 'not_this_host' });
    expect((await to.api.stores.hosts.find('h8' as HostId))).toBeNull();
  });
});

describe('a session', () => {
  test('begins with hello, tells what runs, is shown; ends when the agent says goodbye; the next one is another, with times', async () => {
    const to = await copyOfApi();
    const first = await connect(to);
    expect(await first.hello({ releases: [told('r41')] })).toMatchObject({ type: 'heard', id: 1, answer: { host, nextHelloSeconds: 15 } });
    expect(await statusOf(to)).toMatchObject({ status: 'connected', state: { phase: 'connected' }, session: { bootId: 'b1', transport: 'websocket', copy: 'copy-1', releases: [told('r41')] } });
    const before = await to.api.stores.sessions.clock();
    first.socket.close(1000);
    await eventually('disconnected', async () => (await statusOf(to)).status === 'disconnected');
    expect(await statusOf(to)).toMatchObject({ session: null, lastSession: { why: 'goodbye' }, state: { link: { why: 'goodbye' } } });

    const second = await connect(to, { bootId: 'b2' });
    await second.hello({ bootId: 'b2', releases: [told('r42')] });
    const sessions = await sessionsOf(to);
    expect(sessions.map(({ bootId, why }) => [bootId, why])).toEqual([['b2', null], ['b1', 'goodbye']]);
    const observed = (releaseId: string, after: string) => to.api.stores.sessions.observed({ host, product, releaseId: releaseId as ReleaseId, after });
    expect(await observed('r42', before)).toMatchObject({ session: { bootId: 'b2', connectedAt: expect.stringMatching(/^2/) }, other: null });
    expect((await observed('r42', before)).session!.connectedAt >= before).toBe(true);
    // Seen before the restart counts for nothing; seen on another release is said.
    expect(await observed('r41', before)).toMatchObject({ session: null, other: { bootId: 'b2' } });
    expect(await observed('r42', await to.api.stores.sessions.clock())).toEqual({ session: null, other: null });
    expect(await to.api.stores.sessions.observed({ host, product: 'other' as ProductName, releaseId: 'r42' as ReleaseId, after: before })).toEqual({ session: null, other: null });
  });

  test('a host that did not see all of its instances on one release is not taken for being on it', async () => {
    const to = await copyOfApi();
    const before = await to.api.stores.sessions.clock();
    const agent = await connect(to);
    await agent.hello({ releases: [told(null)] });
    expect(await to.api.stores.sessions.observed({ host, product, releaseId: 'r42' as ReleaseId, after: before })).toMatchObject({ session: null, other: { releases: [told(null)] } });
  });

  test('the same agent begins another one: the old one is renewed, and the host was never away', async () => {
    const to = await copyOfApi();
    const [first, second] = [await connect(to), await connect(to)];
    await first.hello();
    const { since } = (await statusOf(to)).state!;
    await second.hello();
    expect(await first.closed).toEqual({ code: 4000, reason: 'renewed' });
    expect(await statusOf(to)).toMatchObject({ status: 'connected', state: { since } });
    expect((await sessionsOf(to)).map(({ why }) => why)).toEqual([null, 'renewed']);
  });

  test('its key is revoked: closed with the next hello, and not let in again', async () => {
    const to = await copyOfApi();
    const agent = await connect(to);
    await agent.hello();
    const [{ id }] = (await to.api.stores.keys.list()).filter((key) => key.host === host) as unknown as [{ id: string }];
    expect(await ask(to, `/api/keys/${id}`, 'DELETE')).toMatchObject({ status: 200 });
    void agent.hello();
    expect(await agent.closed).toEqual({ code: 4401, reason: 'key_revoked' });
    expect(await refused(to)).toMatchObject({ status: 401 });
    await eventually('ended', async () => (await sessionsOf(to))[0]?.why === 'key_revoked');
  });

  test('a message that is none, in binary, too long, of another agent, or no hello in time: closed with its code, and the session ended', async () => {
    const to = await copyOfApi();
    const bad: [string, (agent: TestAgent) => void, number][] = [
      ['no JSON', ({ socket }) => socket.send('hello'), 4400],
      ['binary', ({ socket }) => socket.send(Buffer.from('{}')), 4400],
      ['too long', ({ socket }) => socket.send('x'.repeat(maxFleetMessageBytes + 1)), 1009],
      ['another boot id', (agent) => void agent.hello({ bootId: 'b9' }), 4400],
    ];
    for (const [what, send, code] of bad) {
      const agent = await connect(to);
      await agent.hello();
      agent.socket.on('error', () => undefined);
      send(agent);
      expect({ what, ...(await agent.closed) }).toMatchObject({ what, code });
      await eventually(`${what}: ended`, async () => (await sessionsOf(to))[0]?.why === 'protocol');
    }
    const silent = await connect(await copyOfApi({ helloMs: 300 }));
    expect(await silent.closed).toMatchObject({ code: 4408, reason: 'silent' });
  });

  test('a hello that is not valid is refused with what is wrong, and the connection stays', async () => {
    const to = await copyOfApi();
    const agent = await connect(to);
    expect(await agent.hello({ role: 'captain' })).toMatchObject({ type: 'refused', code: 'invalid_message', message: expect.stringContaining('hello/role') });
    expect(await agent.hello()).toMatchObject({ type: 'heard' });
  });

  test('a peer that does not answer pings is cut off, and its session has ended silent', async () => {
    const to = await copyOfApi({ pingMs: 1_000 });
    const agent = await connect(to, { answersPings: false });
    await agent.hello();
    await agent.closed;
    await eventually('ended', async () => (await sessionsOf(to))[0]?.why === 'silent');
  });

  test('a copy of the API that closes lets go of its hosts at once, and they are not gone', async () => {
    const [first, second] = [await copyOfApi(), await copyOfApi()];
    const agent = await connect(second);
    await agent.hello();
    const closing = bed.endLast();
    expect(await agent.closed).toEqual({ code: 1012, reason: 'api_closing' });
    await closing;
    expect(await statusOf(first)).toMatchObject({ status: 'connected', session: null, lastSession: { why: 'api_closing' } });
  });

  test('a copy that died without a word: its sessions end by their silence, found by another copy', async () => {
    const to = await copyOfApi({ sweepMs: 50 });
    await to.api.stores.sessions.begin({ host, bootId: 'b1', transport: 'websocket', clientRef: '', role: 'node', releases: [], agentVersion: '1', copy: 'dead', remoteAddress: '127.0.0.1' }, null);
    await to.api.database.query('ageing', (db) => sql`update fleet_sessions set last_heard_at = now() - interval '46 seconds'`.execute(db));
    const state = await eventually('ended', async () => (await to.api.stores.fleet.find(host))?.state.phase === 'disconnected' && (await to.api.stores.fleet.find(host))!.state);
    expect(state).toMatchObject({ link: { why: 'silent' }, failures: { contact: 1 } });
  });
});

describe('two agents with one identity', () => {
  test.each([['on one copy of the API', 1], ['on two copies', 2]])('%s: both closed, both refused, until a person decides for one; the other stays out', async (_where, copies) => {
    const first = await copyOfApi();
    const second = copies === 2 ? await copyOfApi() : first;
    const own = await connect(first);
    await own.hello();
    const twin = await connect(second, { bootId: 'b2' });
    expect(await twin.hello({ bootId: 'b2' })).toMatchObject({ type: 'refused', code: 'identity_conflict', hint: expect.stringContaining('fairlead nodes accept h1') });
    expect(await twin.closed).toEqual({ code: 4409, reason: 'identity_conflict' });
    expect(await own.closed).toEqual({ code: 4409, reason: 'identity_conflict' });

    for (const [to, bootId] of [[first, 'b1'], [second, 'b2'], [second, 'b1']] as const) expect(await refused(to, { bootId })).toMatchObject({ status: 409, body: { code: 'identity_conflict' } });
    expect((await hello(first, first.api.agentKey, host)).body.code).toBe('identity_conflict');
    expect(await statusOf(first)).toMatchObject({ conflict: { decidedAt: null, agents: expect.arrayContaining([expect.objectContaining({ bootId: 'b1' }), expect.objectContaining({ bootId: 'b2' })]) } });
    expect(await auditOf(first, 'host.identity_conflict')).toHaveLength(1);

    expect(await ask(first, `/api/hosts/${host}/accept`, 'POST', { bootId: 'b9' })).toMatchObject({ status: 400 });
    expect(await ask(first, `/api/hosts/${host}/accept`, 'POST', { bootId: 'b1', reason: 'its serial number' })).toMatchObject({ status: 200 });
    expect(await (await connect(second, { bootId: 'b1' })).hello()).toMatchObject({ type: 'heard' });
    expect(await (await connect(first, { bootId: 'b2' })).hello({ bootId: 'b2' })).toMatchObject({ type: 'refused', code: 'identity_refused' });
    expect(await statusOf(first)).toMatchObject({ status: 'connected', conflict: null, session: { bootId: 'b1' } });
    expect(await auditOf(first, 'host.identity_accepted')).toMatchObject([{ actor: 'ci (admin)', detail: { bootId: 'b1' } }]);
    expect(await ask(first, `/api/hosts/${host}/accept`, 'POST', { bootId: 'b1', reason: 'its serial number' })).toMatchObject({ status: 409, body: { code: 'no_conflict' } });
  });

  test('a restarted agent gets in at once: its old connection is dead, or hangs and does not answer, on another copy of the API', async () => {
    const [first, second] = [await copyOfApi({ answerMs: 1_500 }), await copyOfApi({ answerMs: 1_500 })];
    const dead = await connect(first);
    await dead.hello();
    dead.socket.terminate();
    const hanging = await connect(second, { bootId: 'b2', answersPings: false });
    expect(await hanging.hello({ bootId: 'b2' })).toMatchObject({ type: 'heard' });
    const again = await connect(first, { bootId: 'b3' });
    expect(await again.hello({ bootId: 'b3' })).toMatchObject({ type: 'heard' });
    expect(await hanging.closed).toMatchObject({ code: 4409, reason: 'superseded' });
    expect(await statusOf(first)).toMatchObject({ status: 'connected', session: { bootId: 'b3' }, conflict: null });
  });

  test('over HTTP: the place is taken at once, a late word of the one before is refused, and its coming back is a conflict', async () => {
    const to = await copyOfApi();
    const key = to.api.agentKey;
    expect((await hello(to, key, host)).status).toBe(200);
    expect((await hello(to, key, host, { bootId: 'b2' })).status).toBe(200);
    expect((await hello(to, key, host)).body.code).toBe('session_superseded');
    expect(await statusOf(to)).toMatchObject({ conflict: null, session: { bootId: 'b2', transport: 'http' } });
    await to.api.database.query('ageing', (db) => sql`update fleet_sessions set ended_at = ended_at - interval '11 seconds' where ended_at is not null`.execute(db));
    expect((await hello(to, key, host)).body.code).toBe('identity_conflict');
    expect((await hello(to, key, host, { bootId: 'b2' })).body.code).toBe('identity_conflict');
    expect(await ask(to, `/api/hosts/${host}/accept`, 'POST', { bootId: 'b2', reason: 'its serial number' })).toMatchObject({ status: 200 });
    expect((await hello(to, key, host, { bootId: 'b2' })).status).toBe(200);
    expect((await hello(to, key, host)).body.code).toBe('identity_refused');
  });

  test('requests of one session over HTTP are one session; the next session is another', async () => {
    const to = await copyOfApi();
    for (const session of ['c1', 'c1', 'c2']) await hello(to, to.api.agentKey, host, { session, releases: [told('r1')] });
    expect((await sessionsOf(to)).map(({ transport, why, releases }) => [transport, why, releases.length])).toEqual([['http', null, 1], ['http', 'renewed', 1]]);
  });
});
