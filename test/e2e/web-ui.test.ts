import { Client, Connection } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { hostWorkflowId, type HostId } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { cutDown } from '../support/matrix-product.ts';
import { shortStart, startStack, type Stack } from '../support/stack.ts';

/** What an operator reads in the Temporal Web UI, asked of the server in the way that the Web UI asks. */
describe('a run in the Temporal Web UI', () => {
  let stack: Stack;
  let connection: Connection;
  let client: Client;
  beforeAll(async () => {
    stack = await startStack();
    await stack.publish('r1', { edit: cutDown });
    await stack.publish('r2', { edit: cutDown });
    await stack.publish('r3', {
      edit: async (directory) => {
        await cutDown(directory);
        await shortStart(directory);
      },
      faults: { crashAtStart: true, only: 'api-b' },
    });
    expect((await stack.apply('h1', 'r1')).outcome).toBe('succeeded');
    connection = await Connection.connect({ address: stack.dev.summary.temporal });
    client = new Client({ connection });
  }, 120_000);
  afterAll(async () => {
    await connection?.close();
    await stack?.end();
  }, 120_000);

  const read = <Value>(payload: Payload | null | undefined): Value | null => (payload ? defaultPayloadConverter.fromPayload<Value>(payload) : null);
  const handleOf = (runId: string) => client.workflow.getHandle(hostWorkflowId('h1' as HostId, stack.product), runId);

  /** Summary and details of the start, and the search attributes. */
  async function describeRun(runId: string) {
    const { raw, typedSearchAttributes } = await handleOf(runId).describe();
    const { summary, details } = raw.executionConfig?.userMetadata ?? {};
    return {
      summary: read<string>(summary),
      details: read<string>(details),
      attributes: Object.fromEntries(typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]).filter(([name]) => String(name).startsWith('Fairlead'))),
    };
  }
  const currentDetails = async (runId: string): Promise<string> => (await handleOf(runId).query<{ currentDetails?: string }>('__temporal_workflow_metadata')).currentDetails ?? '';

  /** The summaries of the host's activities, in order. */
  async function summaries(runId: string): Promise<(string | null)[]> {
    const { events } = await handleOf(runId).fetchHistory();
    return (events ?? [])
      .filter((event) => event.activityTaskScheduledEventAttributes?.taskQueue?.name === 'host:h1')
      .map((event) => read<string>(event.userMetadata?.summary));
  }

  const started = { summary: 'noderax-platform r2 on h1', attributes: { FairleadHost: 'h1', FairleadProduct: 'noderax-platform', FairleadRelease: 'r2' } };

  /** Guarantee 11. */
  test('under way: what, where, who asked, how far it is; and after its end: how it ended, step by step', async () => {
    const runId = await stack.start('h1', 'r2', { bakeSeconds: 3 });
    const details = await eventually('api-b is proven', async () => {
      const told = await currentDetails(runId);
      return told.includes('prove api-b') ? told : null;
    }, 60_000);
    // In Markdown: the state, what is applied over what and where, and the step with how many there are.
    expect(details).toBe('**Activated**: noderax-platform r1 → r2 on h1\n\nStep: `prove api-b` (17 of 22)');
    expect(await describeRun(runId)).toMatchObject(started);
    expect((await describeRun(runId)).details).toMatch(/^Asked for by .+ \(admin\)\. Strategy rolling\.$/);

    expect((await stack.report(runId)).outcome).toBe('succeeded');
    await handleOf(runId).result();
    expect(await describeRun(runId)).toMatchObject({ ...started, attributes: { ...started.attributes, FairleadOutcome: 'succeeded' } });
    expect(await currentDetails(runId)).toBe('**Succeeded**: noderax-platform r1 → r2 on h1');
    expect(await summaries(runId)).toEqual([
      'inspect the host', 'open-intent', 'download', 'verify', 'extract', 'preflight', 'backup', 'arm-recovery', 'migrate', 'configure', 'activate r2',
      'drain api-a', 'restart api-a on r2', 'prove api-a on r2', 'admit api-a', 'drain api-b', 'restart api-b on r2', 'prove api-b on r2', 'admit api-b',
      'verify-health', 'commit', 'prune', 'close-intent',
    ]);
  }, 120_000);

  test('rolled back: the way back stands in the summaries, the outcome in the attributes', async () => {
    const { runId, outcome } = await stack.apply('h1', 'r3');
    expect(outcome).toBe('rolled_back');
    await handleOf(runId).result();
    expect((await describeRun(runId)).attributes).toEqual({ FairleadHost: 'h1', FairleadProduct: 'noderax-platform', FairleadRelease: 'r3', FairleadOutcome: 'rolled_back' });
    expect(await currentDetails(runId)).toBe('**RolledBack**: noderax-platform r2 → r3 on h1');
    expect((await summaries(runId)).slice(-14)).toEqual([
      'reactivate r2', 'restore-data', 'drain api-b', 'restart api-b on r2', 'prove api-b on r2', 'admit api-b',
      'drain api-a', 'restart api-a on r2', 'prove api-a on r2', 'admit api-a', 'unconfigure', 'verify-health', 'discard', 'close-intent',
    ]);
  }, 120_000);

  test('runs are found by what an operator knows of them', async () => {
    const found = await eventually('the list is up to date', async () => {
      const releases: unknown[] = [];
      for await (const { searchAttributes } of client.workflow.list({ query: "FairleadHost = 'h1' AND FairleadOutcome = 'succeeded'" })) releases.push(...(searchAttributes['FairleadRelease'] ?? []));
      return releases.length >= 2 ? releases.sort() : null;
    }, 60_000);
    expect(found).toEqual(['r1', 'r2']);
  }, 120_000);
});
