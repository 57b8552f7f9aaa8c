import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { secretsBelow } from '../support/certificate-issuer-suite.ts';
import { startFaultProxy, type Answer, type FaultProxy, type Seen } from '../support/fault-proxy.ts';
import { eventually } from '../support/eventually.ts';
import { createIssuingBed, type IssuingBed } from '../support/issuing.ts';
import { pebbleIsThere, startPebble, type TestPebble } from '../support/pebble.ts';
import { describeWith } from '../support/requirement.ts';

const program = fileURLToPath(new URL('../support/programs/issue.ts', import.meta.url));
const isNewOrder = ({ path, status }: Seen): boolean => path.startsWith('/order-plz') && status === 201;
const isFinalize = ({ path, status }: Seen): boolean => path.startsWith('/finalize-order/') && status === 200;

describeWith([pebbleIsThere], 'the agent is killed while it gets a certificate', () => {
  let pebble: TestPebble;
  let proxy: FaultProxy;
  let bed: IssuingBed;
  beforeAll(async () => {
    pebble = await startPebble();
    proxy = await startFaultProxy(pebble.address, pebble.tls);
  }, 120_000);
  afterAll(async () => {
    await proxy?.stop();
    await pebble?.stop();
  });
  beforeEach(async () => {
    bed = await createIssuingBed(pebble, () => `${proxy.url}/dir`);
    proxy.inject();
    proxy.seen.length = 0;
  });
  afterEach(() => bed.end());

  async function start(killAfter: string | null) {
    const file = join(bed.directory, '../request.json');
    await fs.writeFile(file, JSON.stringify(await bed.request()));
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, bed.directory, file], { env: { ...process.env, ...(killAfter === null ? {} : { KILL_AFTER: killAfter }) }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    // Not `exit`: what it has said last may still be on its way then.
    const gone = new Promise<number | null>((resolve) => child.once('close', resolve));
    return {
      output: () => output,
      gone,
      async kill() {
        child.kill('SIGKILL');
        await gone;
      },
      running: () => child.exitCode === null,
    };
  }

  async function endsWithOneOrder(): Promise<void> {
    const again = await start(null);
    expect([await again.gone, again.output()]).toEqual([0, expect.stringMatching(/download\n"[0-9a-f]+"\n$/)]);
    expect([proxy.count(isNewOrder), proxy.count(isFinalize)]).toEqual([1, 1]);
    expect(await fs.readdir(join(bed.webroot, '.well-known/acme-challenge'))).toEqual([]);
    for (const secret of await secretsBelow(bed.directory)) expect(again.output()).not.toContain(secret);
  }

  test.each(['order', 'present', 'answer', 'poll until ready', 'cleanup', 'finalize', 'poll until valid', 'download'])('after the step %s: the same order goes on, and the CA has seen one', async (step) => {
    const first = await start(step);
    await eventually(`${step} is done`, () => {
      if (!first.running()) throw new Error(first.output());
      return first.output().split('\n').includes(step);
    }, 60_000);
    await first.kill();
    await endsWithOneOrder();
  }, 120_000);

  // Within a step: the CA has done what was asked, and its answer does not come.
  test.each([
    { name: 'while the challenge is answered', on: ({ path }: Seen) => path.startsWith('/chalZ/') },
    { name: 'while the order is finalized', on: ({ path }: Seen) => path.startsWith('/finalize-order/') },
    { name: 'while the certificate is downloaded', on: ({ path }: Seen) => path.startsWith('/certZ/') },
  ])('$name: the same order goes on, and the CA has seen one', async ({ on }) => {
    let victim: Awaited<ReturnType<typeof start>> | undefined;
    proxy.inject({
      on,
      times: 1,
      change: (answer: Answer) => {
        void victim?.kill();
        return answer.status === 0 ? answer : null;
      },
    });
    victim = await start(null);
    await victim.gone;
    const cut = proxy.seen.find((seen) => on(seen) && seen.status === 0);
    expect(cut).toBeDefined();
    // It was done by the CA, though nobody was told.
    if (cut?.path.startsWith('/finalize-order/')) cut.status = 200;
    await endsWithOneOrder();
  }, 120_000);

  test('while an account is made: the account is found again by its key', async () => {
    let victim: Awaited<ReturnType<typeof start>> | undefined;
    proxy.inject({
      on: ({ path }) => path.startsWith('/sign-me-up'),
      times: 1,
      change: () => {
        void victim?.kill();
        return null;
      },
    });
    victim = await start(null);
    await victim.gone;
    await endsWithOneOrder();
    expect(proxy.seen.filter(({ path }) => path.startsWith('/sign-me-up')).map(({ status }) => status)).toEqual([0, 200]);
  }, 120_000);
});
