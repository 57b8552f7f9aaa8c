import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { FleetSession, HostDetail, HostList } from '../../src/contract/index.ts';
import { agentCommand, agentEnvironment } from '../../src/runtime/agent-command.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { killProcesses } from '../support/checked-stack.ts';
import { eventually } from '../support/eventually.ts';
import { project, startStack, type Stack } from '../support/stack.ts';

const limitMs = 120_000;

describe('the fleet connection and the release check, with every part as it is', () => {
  let stack: Stack;
  let scratch: string;
  let twin: ChildProcess | null = null;
  beforeAll(async () => {
    scratch = await fs.mkdtemp(join(tmpdir(), 'fairlead-fleet-'));
    stack = await startStack({ replace: { env: { FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_SCHEDULER: 'on', FAIRLEAD_RELEASE_SECONDS: '2' } } });
  }, 240_000);
  afterAll(async () => {
    twin?.kill('SIGKILL');
    await stack?.end();
    await fs.rm(scratch, { recursive: true, force: true });
  }, 120_000);

  const shown = async (): Promise<HostDetail> => (await stack.ask<HostDetail>('GET', '/api/hosts/h1')).body;
  const sessions = async (): Promise<FleetSession[]> => (await stack.ask<{ sessions: FleetSession[] }>('GET', '/api/hosts/h1/sessions?limit=100')).body.sessions;
  const tells = (session: FleetSession | null, releaseId: string) => session?.releases.some((told) => told.product === stack.product && told.releaseId === releaseId);
  const connected = (what: string, more: (host: HostDetail) => unknown) => eventually(what, async () => {
    const host = await shown();
    return host.status === 'connected' && host.session !== null && more(host) ? host.session : null;
  }, limitMs);

  test('after each commit the host is seen reconnecting on the release, later than the run began; agent killed: another boot, on the same release', async () => {
    for (const releaseId of ['r1', 'r2']) {
      await stack.publish(releaseId);
      const began = new Date().toISOString();
      expect(await stack.apply('h1', releaseId, { phase: 'installed' })).toMatchObject({ outcome: 'succeeded' });
      const session = await connected(`seen on ${releaseId}`, (host) => tells(host.session, releaseId));
      expect(session).toMatchObject({ transport: 'websocket', releases: [{ artifactRole: 'node' }] });
      expect(session.connectedAt > began).toBe(true);
    }
    const before = await connected('connected', () => true);
    await killProcesses([stack.dev.pids()['agent-h1'] as number]);
    const after = await connected('back after SIGKILL', (host) => host.session!.bootId !== before.bootId && tells(host.session, 'r2'));
    const ended = (await sessions()).find(({ id }) => id === before.id)!;
    expect(ended.why).not.toBeNull();
    expect([ended.endedAt! > ended.connectedAt, after.connectedAt >= ended.endedAt!]).toEqual([true, true]);
    expect((await shown()).conflict).toBeNull();
  }, 400_000);

  test('control killed and back: the same agent begins another session, and there is no conflict', async () => {
    const before = await connected('connected', () => true);
    await killProcesses([stack.dev.pids()['api'] as number]);
    const after = await eventually('connected again', async () => {
      const host = await shown().catch(() => null);
      return host?.status === 'connected' && host.session && host.session.id !== before.id && host.session.copy !== before.copy ? host.session : null;
    }, limitMs);
    expect(after).toMatchObject({ bootId: before.bootId, releases: before.releases });
    expect((await sessions()).filter(({ endedAt }) => endedAt === null)).toHaveLength(1);
    expect((await shown()).conflict).toBeNull();
  }, 200_000);

  test('two agents with one identity: both refused, until a person says which one is the host', async () => {
    const own = await connected('connected', () => true);
    const root = join(scratch, 'twin');
    const keyFile = agentLayout(stack.dev.summary.hosts[0]!.root).agentKeyFile;
    const command = agentCommand(join(project, 'dist/agent.mjs'));
    const env = { PATH: process.env['PATH'] ?? '', ...agentEnvironment, FAIRLEAD_ROLE: 'node', FAIRLEAD_HOST_ID: 'h1', FAIRLEAD_ROOT: root, FAIRLEAD_API_URL: stack.dev.summary.api, FAIRLEAD_API_KEY_FILE: keyFile, FAIRLEAD_TEMPORAL_ADDRESS: stack.dev.summary.temporal, FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_PORTS: 'free', FAIRLEAD_HEALTH_LISTEN: '127.0.0.1:0' };
    twin = spawn(command[0] as string, command.slice(1), { env, stdio: 'ignore' });
    const { conflict } = await eventually('the conflict is found', async () => {
      const host = await shown();
      return host.conflict !== null && host.conflict.agents.length >= 2 ? host : null;
    }, limitMs);
    const boots = conflict!.agents.map(({ bootId }) => bootId);
    expect(boots).toContain(own.bootId);
    await eventually('nobody is connected', async () => (await shown()).session === null, limitMs);
    expect((await shown()).status).not.toBe('connected');

    const accepted = await stack.fairlead('nodes', 'accept', 'h1', '--boot-id', own.bootId, '--reason', 'it stands here');
    expect([accepted.exitCode, accepted.stdout]).toEqual([0, expect.stringContaining(`h1 is agent ${own.bootId}`)]);
    await connected('the accepted one is back', (host) => host.session!.bootId === own.bootId);
    expect((await stack.fairlead('nodes', 'accept', 'h1', '--boot-id', own.bootId, '--reason', 'it stands here')).exitCode).toBe(3);
    expect((await sessions()).filter(({ bootId }) => bootId !== own.bootId && boots.includes(bootId))).toEqual([]);
    twin.kill('SIGKILL');
    twin = null;
  }, 400_000);

  test('a host is enrolled by the command that was printed, once; maintenance is told by the commands', async () => {
    const made = await stack.fairlead('nodes', 'enroll', 'h9', '--expires', '10m');
    expect(made.exitCode).toBe(0);
    const words = made.stdout.trim().split(' ').slice(1);
    const root = join(scratch, 'h9');
    const enrolled = await stack.fairlead(...words, '--root', root);
    expect([enrolled.exitCode, enrolled.stdout]).toEqual([0, expect.stringContaining('h9 is enrolled as node')]);
    const { agentKeyFile } = agentLayout(root);
    expect([(await fs.stat(agentKeyFile)).mode & 0o777, (await fs.readFile(agentKeyFile, 'utf8')).startsWith('fl_agent_')]).toEqual([0o600, true]);
    expect((await stack.fairlead(...words, '--root', root)).stderr).toContain('has a key already');
    expect((await stack.fairlead(...words, '--root', join(scratch, 'other'))).stderr).toContain('used before');
    expect((await stack.ask<HostList>('GET', '/api/hosts')).body.pending).toMatchObject([{ host: 'h9', state: { phase: 'pending' } }]);

    const began = await stack.fairlead('nodes', 'maintenance', 'h1', '--reason', 'new disks', '--until', '2h');
    expect([began.exitCode, began.stdout]).toEqual([0, expect.stringContaining('new disks')]);
    expect((await stack.fairlead('nodes', 'list')).stdout).toMatch(/h1\s+node\s+maintenance[\s\S]*h9\s+node\s+pending/);
    expect((await stack.fairlead('nodes', 'show', 'h1')).stdout).toMatch(/observed\s+noderax-platform r2 node/);
    expect((await stack.fairlead('nodes', 'maintenance', 'h1', '--end')).exitCode).toBe(0);
    expect((await stack.fairlead('nodes', 'sessions', 'h1')).stdout).toContain('websocket');
  }, 200_000);

  describe('releases that come by themselves, looked for every two seconds', () => {
    const always = '* * * * *;UTC;5m';
    const never = '0 3 29 2 *;UTC;1m';
    const activeOf = async () => (await stack.state('h1')).activeReleaseId;
    const policy = async (...words: string[]) => expect(await stack.fairlead('update', 'policy', 'set', '--product', stack.product, ...words)).toMatchObject({ exitCode: 0 });
    let temporal: Connection;
    /** A run that the schedule begins goes by the manifest alone: nothing is watched for long in this one. */
    const publish = (releaseId: string, channel?: 'beta') =>
      stack.publish(releaseId, { ...(channel ? { channel } : {}), edit: async (directory) => ((file) => fs.readFile(file, 'utf8').then((text) => fs.writeFile(file, text.replace(/^bakeSeconds: .*$/m, 'bakeSeconds: 0'))))(join(directory, 'fairlead.yaml')) });
    beforeAll(async () => {
      temporal = await Connection.connect({ address: stack.dev.summary.temporal });
    }, 60_000);
    afterAll(() => temporal?.close());
    /** A check beside those of the schedule, that begins and ends now. */
    const check = () => new Client({ connection: temporal }).workflow.execute('releaseCheck', { workflowId: `asked-${Date.now()}`, taskQueue: 'control' });
    const nothing = { updates: [], rollouts: [], downloaded: [] };
    const available = async (releaseId: string) => {
      const { body } = await stack.ask<{ rows?: { event: string; detail: Record<string, unknown> }[] }>('GET', '/api/audit?limit=200');
      const rows = Object.values(body).find((value) => Array.isArray(value)) as { event: string; detail: Record<string, unknown> }[];
      return rows.filter(({ event, detail }) => event === 'release.available' && detail['releaseId'] === releaseId).map(({ detail }) => detail);
    };
    const became = (releaseId: string) => eventually(`h1 is on ${releaseId}`, async () => (await activeOf()) === releaseId && (await stack.ask<{ run: unknown }>('GET', `/api/updates/status?host=h1&product=${stack.product}`)).body.run === null, limitMs);

    test('outside of its window a release is only noted, once; within it, it is applied by the schedule', async () => {
      await policy('--host', 'h1', '--action', 'apply', '--window', never);
      await publish('r3');
      await eventually('it is noted', async () => (await available('r3')).length > 0, limitMs);
      expect(await check()).toMatchObject({ looked: 1, noted: 1, ...nothing });
      expect([await activeOf(), await available('r3')]).toEqual(['r2', [expect.objectContaining({ decision: 'note', why: 'window_closed', channel: 'stable' })]]);
      const told = await stack.fairlead('update', 'check', '--host', 'h1', '--product', stack.product);
      expect(told.stdout).toContain('r3 is newer than r2');
      expect(told.stdout).toMatch(/channel stable; by itself: applied in "0 3 29 2 \*" UTC/);

      await policy('--host', 'h1', '--action', 'apply', '--window', never, always);
      await became('r3');
      const { body } = await stack.ask<{ runs: { toReleaseId: string; requestedBy: string; outcome: string }[] }>('GET', `/api/updates/history?host=h1&product=${stack.product}`);
      expect(body.runs[0]).toMatchObject({ toReleaseId: 'r3', requestedBy: 'schedule', outcome: 'succeeded' });
    }, 240_000);

    test('in a freeze nothing is begun, and with its end it is', async () => {
      const frozen = await stack.ask<{ id: string }>('POST', '/api/freezes', { reason: 'sale', until: new Date(Date.now() + 3_600_000).toISOString() });
      await publish('r4');
      await eventually('it is noted', async () => (await available('r4')).length > 0, limitMs);
      expect(await check()).toMatchObject({ noted: 1, ...nothing });
      expect([await activeOf(), (await available('r4'))[0]]).toEqual(['r3', expect.objectContaining({ why: 'frozen' })]);
      expect(await stack.fairlead('rollout', 'thaw', frozen.body.id, '--reason', 'the sale is over')).toMatchObject({ exitCode: 0 });
      await became('r4');
    }, 240_000);

    test('a beta is nothing for who follows stable; moved there, it comes by one rollout where the policy is that of the product', async () => {
      await policy('--action', 'apply');
      expect((await stack.fairlead('update', 'policy', 'remove', '--product', stack.product, '--host', 'h1')).exitCode).toBe(0);
      await publish('r5', 'beta');
      expect(await check()).toMatchObject({ current: 1, noted: 0, ...nothing });
      expect([await activeOf(), await available('r5')]).toEqual(['r4', []]);
      expect((await stack.fairlead('release', 'channel', stack.product, 'r5', 'stable')).stdout).toContain('it was in beta');
      await became('r5');
      const { body } = await stack.ask<{ rollouts: { releaseId: string; requestedBy: string }[] }>('GET', '/api/rollouts');
      expect(body.rollouts).toMatchObject([{ releaseId: 'r5', requestedBy: 'schedule' }]);
    }, 240_000);

    test('what an operator paused stays paused when control starts again, and doctor says so', async () => {
      const handle = new Client({ connection: temporal }).schedule.getHandle('releases');
      await handle.pause('until Monday');
      const before = stack.dev.pids()['control'] as number;
      // Written once the schedules are as they are meant to be.
      const atWork = async () => (await fs.readFile(join(stack.dev.summary.logs, 'control.log'), 'utf8')).split('control is at work').length;
      const times = await atWork();
      await killProcesses([before]);
      await eventually('control is at work again', async () => (await atWork()) > times, limitMs);
      expect((await handle.describe()).state).toMatchObject({ paused: true, note: 'until Monday' });
      const doctor = await stack.fairlead('doctor');
      expect(doctor.stdout).toContain('The schedule releases is paused: until Monday.');
      expect(doctor.stderr).toContain('temporal schedule toggle --unpause --schedule-id releases');
    }, 240_000);
  });
});
