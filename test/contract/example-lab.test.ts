import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleCreate } from '../../src/cli/bundle.ts';
import type { Role } from '../../src/domain/product/manifest.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';

const example = join(import.meta.dirname, '../../examples/lab');
const limitMs = 60_000;

/** Both roles from the artifacts that were made of the one directory, unpacked as on two hosts. */
describe('the example lab', () => {
  let dir: string;
  const running = new Set<ChildProcess>();

  /** Makes the artifact of a role, and unpacks it. */
  async function unpack(role: Role, releaseId: string, faults: object = {}): Promise<string> {
    const source = join(dir, `source-${role}-${releaseId}`);
    await cp(example, source, { recursive: true });
    await writeFile(join(source, 'faults.json'), JSON.stringify(faults));
    const { file } = await bundleCreate({ directory: source, release: releaseId, role, output: join(dir, `${role}-${releaseId}.tar.gz`) });
    const to = join(dir, `${role}-${releaseId}`);
    await mkdir(to);
    const { status, stderr } = spawnSync('tar', ['-xzf', file, '-C', to], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    return to;
  }
  function start(release: string, program: string, env: Record<string, string>): ChildProcess {
    const child = spawn(process.execPath, [join(release, program)], { env: { PATH: process.env['PATH'] ?? '', FAIRLEAD_STATE_DIR: join(dir, 'state'), ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    return child;
  }
  const startHub = (release: string, port: number, instance = 'hub-a') => start(release, 'controller.mjs', { PORT: String(port), FAIRLEAD_INSTANCE: `lab/${instance}` });
  const startNode = (release: string, port: number, hub: number) => start(release, 'node.mjs', { PORT: String(port), FAIRLEAD_INSTANCE: 'lab/runtime-main', LAB_CONTROLLER: `ws://127.0.0.1:${hub}/fleet`, LAB_NODE: 'n1' });
  async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => (child.exitCode !== null || child.signalCode !== null ? resolve(child.exitCode) : child.once('exit', resolve)));
    child.kill(signal);
    running.delete(child);
    return ended;
  }
  const ask = async (port: number, path: string) => (await (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })).json()) as Record<string, unknown>;
  const nodes = async (hub: number) => (await ask(hub, '/api/nodes'))['nodes'] as { node: string; connected: boolean; releaseId: string; pid: number; seenBy: string }[];
  const sees = (hub: number, wanted: object) => eventually(`the controller sees ${JSON.stringify(wanted)}`, async () => (await nodes(hub)).find((node) => Object.entries(wanted).every(([key, value]) => node[key as 'node'] === value)), limitMs);

  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'fairlead-lab-'))));
  afterEach(async () => {
    for (const child of running) await stop(child, 'SIGKILL');
    await rm(dir, { recursive: true, force: true });
  });

  test("each role's artifact has its own files and nothing of the other one's", async () => {
    const files = async (release: string) => (await readdir(release, { recursive: true })).sort();
    const shared = ['fairlead.files.json', 'fairlead.yaml', 'faults.json', 'hooks', 'hooks/preflight.mjs', 'lib', 'lib/release.mjs', 'lib/serve.mjs'];
    expect(await files(await unpack('controller', 'r1'))).toEqual([...shared, 'controller.mjs', 'lib/nodes.mjs', 'lib/socket.mjs'].sort());
    const node = await unpack('node', 'r1');
    expect(await files(node)).toEqual([...shared, 'node.mjs'].sort());
    expect(await readFile(join(node, 'fairlead.yaml'), 'utf8')).not.toMatch(/controller\.mjs|hub-ready/);
  });

  test('a node without the address of its controller refuses to start and says how to give it', async () => {
    const release = await unpack('node', 'r1');
    const { status, stderr } = spawnSync(process.execPath, [join(release, 'node.mjs')], { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
    expect([status, stderr]).toEqual([1, expect.stringContaining('LAB_CONTROLLER is not set')]);
  });

  test('a node is seen by its release, comes back to a controller that was killed, and after its own update is seen on the new release', async () => {
    const [hub1, node1, node2] = [await unpack('controller', 'r1'), await unpack('node', 'r1'), await unpack('node', 'r2')];
    const [hubPort, nodePort] = [await freePort(), await freePort()];
    const first = startHub(hub1, hubPort);
    const node = startNode(node1, nodePort, hubPort);
    await sees(hubPort, { node: 'n1', connected: true, releaseId: 'r1', pid: node.pid });
    // The welcome is on its way when the controller already tells of the node.
    expect(await eventually('the node was welcomed', async () => ((answer) => (answer['connected'] === true ? answer : null))(await ask(nodePort, '/health/ready')), limitMs)).toMatchObject({ status: 'ready', connected: true, releaseId: 'r1' });

    await stop(first, 'SIGKILL');
    await eventually('the node knows that it is alone, and is ready all the same', async () => (await ask(nodePort, '/health/ready'))['connected'] === false, limitMs);
    startHub(hub1, hubPort);
    await sees(hubPort, { node: 'n1', connected: true, pid: node.pid });

    expect(await stop(node)).toBe(0);
    await sees(hubPort, { node: 'n1', connected: false });
    const updated = startNode(node2, nodePort, hubPort);
    await sees(hubPort, { node: 'n1', connected: true, releaseId: 'r2', pid: updated.pid });
  }, 180_000);

  test('a controller that is told to stop sends its nodes away with 1012 and ends with 0', async () => {
    const hubPort = await freePort();
    const hub = startHub(await unpack('controller', 'r1'), hubPort);
    await eventually('the controller answers', () => ask(hubPort, '/health/ready'), limitMs);
    expect((await fetch(`http://127.0.0.1:${hubPort}/fleet`)).status).toBe(426);
    const socket = new WebSocket(`ws://127.0.0.1:${hubPort}/fleet`);
    const code = new Promise<number>((resolve) => socket.addEventListener('close', (event) => resolve(event.code)));
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    expect(await stop(hub)).toBe(0);
    expect(await code).toBe(1012);
  }, 90_000);

  test.each([
    ['a frame that is not masked', Buffer.from([0x81, 0x01, 0x78]), 1002],
    ['a frame of many gigabytes', Buffer.from([0x81, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0]), 1009],
    ['a hello from a name that would leave the directory', maskedText('{"hello":{"node":"../x","releaseId":"r1","pid":1}}'), 1008],
  ])('%s: refused with its code, and the controller lives on', async (_fault, bytes, expected) => {
    const hubPort = await freePort();
    startHub(await unpack('controller', 'r1'), hubPort);
    await eventually('the controller answers', () => ask(hubPort, '/health/ready'), limitMs);
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect(hubPort, '127.0.0.1', () => socket.write(`GET /fleet HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`));
      socket.once('data', () => socket.write(bytes));
      socket.on('data', (chunk) => chunks.push(chunk)).once('end', () => resolve(Buffer.concat(chunks))).once('error', reject);
      socket.setTimeout(limitMs, () => socket.destroy(new Error('no answer')));
    });
    expect([answer.at(-4), answer.readUInt16BE(answer.length - 2)]).toEqual([0x88, expected]);
    expect(await ask(hubPort, '/health/ready')).toMatchObject({ status: 'ready' });
  }, 90_000);

  test('the fault noHello: the node is healthy, and its controller never hears of it', async () => {
    const [hubPort, nodePort] = [await freePort(), await freePort()];
    startHub(await unpack('controller', 'r1'), hubPort);
    startNode(await unpack('node', 'r2', { noHello: true }), nodePort, hubPort);
    expect(await eventually('the node answers', () => ask(nodePort, '/health/ready'), limitMs)).toMatchObject({ status: 'ready', connected: false });
    expect(await eventually('the controller answers', () => ask(hubPort, '/api/nodes'), limitMs)).toMatchObject({ nodes: [] });
  }, 90_000);
});

/** RFC 6455, section 5.2: a client's text, masked. */
function maskedText(text: string): Buffer {
  const [mask, payload] = [createHash('sha1').update(text).digest().subarray(0, 4), Buffer.from(text)];
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload.map((byte, at) => byte ^ mask[at % 4]!)]);
}
