import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generatePublisherKey } from '../../src/adapters/bundle/signature.ts';
import { bootId } from '../../src/adapters/process/proc.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import type { RunReport } from '../../src/domain/run/report.ts';
import { devLayout } from '../../src/runtime/dev/layout.ts';
import { fairlead as fairleadAlone } from '../support/dev.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/host-root.ts';
import { brokenActivation, brokenGuarantees } from '../support/invariants.ts';
import { listingOf } from '../support/listing.ts';
import { cutDown } from '../support/matrix-product.ts';
import { expectMessage } from '../support/messages.ts';
import { describeWith, program, root as asRoot } from '../support/requirement.ts';
import { exampleProduct as product, project, runCommand, startStack, type CommandResult, type Stack } from '../support/stack.ts';

const mebibyte = 2 ** 20;
/** What the small disk of `h2` holds. */
const diskMebibytes = 64;
const canMount = [asRoot, program('mount'), program('umount')].every(({ missing }) => missing === null);
const hasNginx = program('nginx').missing === null;

/** What goes wrong for an operator, with the commands that an operator types: what they are told, and that nothing came of it. */
describe('an operator is told what is wrong, where, and how to mend it', () => {
  let dir: string;
  let stack: Stack;
  let busy: Server;
  let work: string;

  beforeAll(async () => {
    dir = await fs.mkdtemp(join(tmpdir(), 'fairlead-messages-'));
    work = join(dir, 'work');
    await fs.mkdir(work);
    busy = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => busy.once('listening', resolve));
    // As an earlier `fairlead dev` left it, whose port somebody else has taken since.
    const state = { schema: 1, id: randomBytes(6).toString('hex'), bootId: bootId(), ports: { temporal: busyPort(), api: busyPort() }, processes: {} };
    await fs.writeFile(devLayout(dir).stateFile, JSON.stringify(state));
    if (canMount) {
      await fs.mkdir(rootOf('h2'), { recursive: true });
      mustRun('mount', '-t', 'tmpfs', '-o', `size=${diskMebibytes}m,mode=755`, 'tmpfs', rootOf('h2'));
    }
    stack = await startStack({ dir, hosts: 2, replace: { env: { FAIRLEAD_ROUTER: 'embedded' } } });
    await stack.publish('r1', { edit: cutDown });
    await stack.publish('r2', { edit: cutDown });
    expect((await Promise.all(['h1', 'h2'].map((host) => stack.apply(host, 'r1')))).map(({ outcome }) => outcome)).toEqual(['succeeded', 'succeeded']);
  }, 180_000);

  afterAll(async () => {
    await stack?.end();
    if (canMount) spawnSync('umount', ['--lazy', rootOf('h2')]);
    busy?.close();
    await fs.rm(dir, { recursive: true, force: true });
  }, 120_000);

  const rootOf = (host: string): string => devLayout(dir).hostRoot(host);
  const busyPort = (): number => (busy.address() as { port: number }).port;
  const runIds = async (): Promise<string[]> => (await stack.ask<{ runs: { runId: string }[] }>('GET', '/api/runs?limit=200')).body.runs.map(({ runId }) => runId);
  const target = (host = 'h1'): string[] => ['--host', host, '--product', product];

  /** A release of the small product, as a file that nobody has published. */
  async function pack(releaseId: string, edit: (directory: string) => Promise<void> = async () => undefined): Promise<string> {
    const directory = join(work, `${releaseId}-source`);
    await fs.cp(join(project, 'examples/noderax-platform'), directory, { recursive: true });
    await cutDown(directory);
    await edit(directory);
    const file = join(work, `${releaseId}.tar.zst`);
    const created = await stack.fairlead('bundle', 'create', directory, '--release', releaseId, '-o', file);
    expect([created.exitCode, created.exitCode === 0 ? '' : created.stderr]).toEqual([0, '']);
    return file;
  }

  async function mustPublish(file: string, ...more: string[]): Promise<void> {
    const signing = more.length > 0 ? more : ['--sign-key', stack.dev.summary.publisherKeyFile];
    const published = await stack.fairlead('release', 'publish', file, ...signing);
    expect([published.exitCode, published.exitCode === 0 ? '' : published.stderr]).toEqual([0, '']);
  }

  /** Applies a release with the real command, which has to end refused, and looks whether the host is as it was. */
  async function refusedBy(host: string, releaseId: string, code: string): Promise<RunReport> {
    const before = await listingOf(rootOf(host), product);
    const { exitCode, stdout, stderr } = await stack.fairlead('update', 'apply', releaseId, ...target(host), '--bake-seconds', '0', '--json');
    expect([exitCode, exitCode === 3 ? '' : stderr]).toEqual([3, '']);
    const report = JSON.parse(stdout) as RunReport;
    expect([report.outcome, report.reason?.code, report.reason]).toEqual(['refused', code, expect.objectContaining({ message: expect.any(String) as string, hint: expect.any(String) as string })]);
    expect(await listingOf(rootOf(host), product)).toEqual(before);
    expect(await brokenGuarantees(stack, report)).toEqual([]);
    return report;
  }

  async function succeeds(host: string, releaseId: string): Promise<void> {
    const report = await stack.apply(host, releaseId);
    expect([report.outcome, report.reason]).toEqual(['succeeded', null]);
  }

  describe('commands', () => {
    /** The command changes nothing: no run comes of it. */
    async function nothingCame(run: () => Promise<CommandResult>): Promise<CommandResult> {
      const before = [await runIds(), await listingOf(rootOf('h1'), product)];
      const result = await run();
      expect([await runIds(), await listingOf(rootOf('h1'), product)]).toEqual(before);
      return result;
    }

    test('a fairlead.yaml with several mistakes: all of them at once, each with its line and column, and no bundle', async () => {
      const directory = join(work, 'bad');
      await fs.cp(join(project, 'examples/noderax-platform'), directory, { recursive: true });
      const manifest = join(directory, 'fairlead.yaml');
      const text = await fs.readFile(manifest, 'utf8');
      const broken = text.replace('initialPhase: setup', 'initialPhase: later').replace('drainSeconds: 30', 'drainSecond: 30').replace('ready: api-ready', 'ready: api-redy');
      await fs.writeFile(manifest, broken);
      const lineOf = (part: string): number => broken.slice(0, broken.indexOf(part)).split('\n').length;
      const output = join(work, 'bad.tar.zst');
      const result = await stack.fairlead('bundle', 'create', directory, '--release', 'bad', '-o', output);
      expectMessage(result, {
        exitCode: 3,
        stdout: '',
        says: [manifest, new RegExp(`:${lineOf('initialPhase: later')}:\\d+`), new RegExp(`:${lineOf('drainSecond:')}:\\d+`), new RegExp(`:${lineOf('api-redy')}:\\d+`), 'drainSeconds', 'api-ready'],
      });
      expect(await fs.stat(output).catch(() => null)).toBeNull();
    });

    test('a key that nobody knows: 4, and where to look', async () => {
      const file = join(work, 'unknown.key');
      await fs.writeFile(file, `${readFileSync(stack.dev.summary.adminKeyFile, 'utf8').trim().slice(0, -6)}aaaaaa\n`);
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r2', ...target(), '--key-file', file));
      expectMessage(result, { exitCode: 4, stdout: '', says: [/key/i, /\(key_unknown\)/, /fairlead keys|--key-file/] });
      expect(result.stderr).not.toContain(readFileSync(file, 'utf8').trim());
    });

    test("a host's key where an admin's is needed: 4, and which role it has", async () => {
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r2', ...target(), '--key-file', agentLayout(rootOf('h1')).agentKeyFile));
      expectMessage(result, { exitCode: 4, stdout: '', says: [/\(not_allowed\)/, /agent/, /admin/] });
    });

    test('an API that is not there: 1, by which setting it was found, and what starts one', async () => {
      const url = `http://127.0.0.1:${await freePort()}`;
      const result = await stack.fairlead('nodes', 'list', '--api', url);
      expectMessage(result, { exitCode: 1, stdout: '', says: [url, 'nothing listens there', 'address from --api', 'fairlead dev'] });
    });

    test('a release that was never published: 3, and those that were', async () => {
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r99', ...target()));
      expectMessage(result, { exitCode: 3, stdout: '', says: ['"r99"', 'was never published', '(unknown_release)', 'r2, r1'] });
    });

    test('a release that has no artifact for the role: 3, and which roles it has', async () => {
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r2', ...target(), '--role', 'controller'));
      expectMessage(result, { exitCode: 3, stdout: '', says: ['no artifact for role controller', 'it has one for node', '(unknown_release)'] });
    });

    test('a host that nobody knows: 3, and those that are known', async () => {
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r2', '--host', 'h7', '--product', product));
      expectMessage(result, { exitCode: 3, stdout: '', says: ['"h7"', '(unknown_host)', 'h1, h2'] });
    });

    test('a product that nobody knows: 3, and those that are known', async () => {
      const result = await nothingCame(() => stack.fairlead('update', 'apply', 'r2', '--host', 'h1', '--product', 'noderax'));
      expectMessage(result, { exitCode: 3, stdout: '', says: ['"noderax"', '(unknown_product)', product] });
    });

    /** Guarantee 6. */
    test('another run holds the host: 3, which one, how to watch it and how to roll it back', async () => {
      await stack.publish('slow', {
        faults: { notReady: true, only: 'api-a' },
        edit: async (directory) => {
          await cutDown(directory);
          const file = join(directory, 'fairlead.yaml');
          await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('startSeconds: 5', 'startSeconds: 600'));
        },
      });
      const holder = await stack.start('h1', 'slow');
      try {
        const result = await stack.fairlead('update', 'apply', 'r2', ...target());
        expectMessage(result, { exitCode: 3, stdout: '', says: [`held by run ${holder}`, '(run_in_progress)', `fairlead runs watch ${holder}`] });
        const { status, body } = await stack.ask<{ holdingRunId: string; hint: string; links: { run: string } }>('POST', '/api/updates/apply', { host: 'h1', product, releaseId: 'r2' });
        expect([status, body.holdingRunId, body.links.run]).toEqual([409, holder, `/api/runs/${holder}`]);
        expect(body.hint).toContain(`fairlead runs cancel ${holder}`);
        expect((await runIds())[0]).toBe(holder);
      } finally {
        expect((await stack.fairlead('runs', 'cancel', holder, '--reason', 'the test is over')).exitCode).toBe(0);
        expect((await stack.report(holder, 120_000)).outcome).toBe('cancelled');
      }
      expect(await brokenActivation(rootOf('h1'), product)).toEqual([]);
    }, 180_000);
  });

  describe('processes', () => {
    const environmentOf = (pid: number): Record<string, string> =>
      Object.fromEntries(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as [string, string]));
    const node = [process.execPath, '--disable-warning=ExperimentalWarning'];

    test('`fairlead dev` whose ports somebody else has taken: takes others and is ready', () => {
      expect(stack.dev.summary.temporal).not.toBe(`127.0.0.1:${busyPort()}`);
      expect(stack.dev.summary.api).not.toBe(`http://127.0.0.1:${busyPort()}`);
    });

    test('`fairlead dev` on a directory that one plays already: 3, who does, and where else', async () => {
      const { code, stdout, stderr } = await fairleadAlone(['dev', '--dir', dir]);
      expectMessage({ exitCode: code, stdout, stderr }, { exitCode: 3, stdout: '', says: [dir, `(process ${process.pid})`, '--dir'] });
    });

    test("the API's port is taken: 1, which one, how to find who has it, and the setting", async () => {
      const env = environmentOf(stack.dev.pids()['api'] as number);
      const result = await runCommand([...node, join(project, 'workers/api.ts')], { ...env, FAIRLEAD_API_LISTEN: `127.0.0.1:${busyPort()}` });
      expectMessage(result, { exitCode: 1, says: [`Port 127.0.0.1:${busyPort()} is in use`, `ss -ltnp 'sport = :${busyPort()}'`, 'FAIRLEAD_API_LISTEN'] });
    });

    test('a second agent for the same root: 1, and the process of the first', async () => {
      const pid = stack.dev.pids()['agent-h1'] as number;
      const result = await runCommand([...node, join(project, 'dist/agent.mjs')], environmentOf(pid));
      expectMessage(result, { exitCode: 1, says: [`process ${pid} holds`, agentLayout(rootOf('h1')).lockFile, `kill ${pid}`, '--root'] });
      expect(stack.dev.pids()['agent-h1']).toBe(pid);
    });

    // Where there is an nginx, it is hidden from the agent: in its mount namespace the file is no program.
    describeWith(hasNginx ? [asRoot, program('unshare'), program('mount')] : [], 'nginx', () => {
      test('demanded and missing: the agent does not start, and says what to install or set', async () => {
        const root = await fs.mkdtemp(join(work, 'no-nginx-'));
        const env = { ...environmentOf(stack.dev.pids()['agent-h1'] as number), FAIRLEAD_ROOT: root, FAIRLEAD_HOST_ID: 'h9', FAIRLEAD_ROUTER: 'nginx', PATH: '/usr/bin:/bin' };
        const agent = [...node, join(project, 'dist/agent.mjs')];
        const hidden = ['unshare', '-m', 'sh', '-c', 'for f in /usr/sbin/nginx /usr/local/sbin/nginx /usr/local/nginx/sbin/nginx; do [ ! -e "$f" ] || mount --bind /dev/null "$f" || exit 99; done; exec "$@"', 'sh'];
        const result = await runCommand(hasNginx ? [...hidden, ...agent] : agent, env);
        expectMessage(result, { exitCode: 1, says: ['there is no nginx', 'PATH', 'apt-get install', 'FAIRLEAD_ROUTER=embedded'] });
      });
    });
  });

  /** Guarantee 2. */
  describe('bundles', () => {
    test('not signed, on a host that trusts publishers: refused, and how to publish it', async () => {
      await mustPublish(await pack('unsigned'), '--no-sign');
      const { reason } = await refusedBy('h1', 'unsigned', 'signature_missing');
      expect(`${reason?.message} ${reason?.hint}`).toMatch(/is not signed.*--sign-key FILE/s);
    });

    test('signed by somebody else: refused, whose key it is and whose are trusted', async () => {
      const stranger = generatePublisherKey();
      const file = join(work, 'stranger.pem');
      await fs.writeFile(file, stranger.privateKeyPem, { mode: 0o600 });
      await mustPublish(await pack('strange'), '--sign-key', file);
      const { reason } = await refusedBy('h1', 'strange', 'signature_untrusted');
      expect(reason?.message).toContain(`signed by key ${stranger.keyId}, which this host does not trust: it trusts `);
      expect(reason?.hint).toContain('publishers directory');
    });

    const damages: readonly [string, string, string, (file: string) => Promise<void>][] = [
      ['altered', 'd1', 'digest_mismatch', async (file) => {
        const bytes = await fs.readFile(file);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
        await fs.writeFile(file, bytes);
      }],
      ['cut short', 'd2', 'artifact_truncated', async (file) => fs.truncate(file, 500)],
      ['gone', 'd3', 'artifact_missing', async (file) => fs.rm(file)],
    ];
    test.each(damages)('%s in the artifact store: refused, the host is untouched; published again it is mended', async (_how, releaseId, code, damage) => {
      const file = await pack(releaseId);
      await mustPublish(file);
      const { body } = await stack.ask<{ artifacts: { sha256: string }[] }>('GET', `/api/releases/${product}/${releaseId}`);
      const sha256 = body.artifacts[0]?.sha256 as string;
      await damage(join(devLayout(dir).artifactsDir, sha256.slice(0, 2), sha256));
      const { reason } = await refusedBy('h1', releaseId, code);
      expect(reason?.hint).toMatch(/publish/i);
      await mustPublish(file);
      await succeeds('h1', releaseId);
    }, 180_000);
  });

  describe("the host's key", () => {
    let before: string;
    let keyFile: string;
    beforeAll(async () => {
      keyFile = agentLayout(rootOf('h1')).agentKeyFile;
      before = await fs.readFile(keyFile, 'utf8');
    });
    afterAll(() => fs.writeFile(keyFile, before, { mode: 0o600 }));

    test('gone from the host: the download is refused at once, with the file and the command that makes a key', async () => {
      await mustPublish(await pack('k1'));
      await fs.rm(keyFile);
      const { reason } = await refusedBy('h1', 'k1', 'agent_key_missing');
      expect(`${reason?.message} ${reason?.hint}`).toMatch(new RegExp(`${keyFile} is not there.*fairlead nodes enroll`, 's'));
      await fs.writeFile(keyFile, before, { mode: 0o600 });
    }, 120_000);

    test('revoked: the download is refused at once, with what to do; a new key is taken up without a restart', async () => {
      const { body } = await stack.ask<{ keys: { id: string; name: string; revokedAt: string | null }[] }>('GET', '/api/keys');
      const id = body.keys.find(({ name, revokedAt }) => name === 'h1' && revokedAt === null)?.id as string;
      expect((await stack.fairlead('keys', 'revoke', id)).exitCode).toBe(0);
      const pid = stack.dev.pids()['agent-h1'];
      const { reason } = await refusedBy('h1', 'k1', 'agent_key_refused');
      expect(`${reason?.message} ${reason?.hint}`).toMatch(/401.*agent\.key/s);

      const made = await stack.fairlead('keys', 'create', 'h1-new', '--role', 'agent');
      before = made.stdout;
      await fs.writeFile(keyFile, before, { mode: 0o600 });
      await succeeds('h1', 'k1');
      expect(stack.dev.pids()['agent-h1']).toBe(pid);
    }, 180_000);
  });

  describeWith([asRoot, program('mount'), program('umount')], 'a full disk', () => {
    const filler = (): string => join(rootOf('h2'), 'filler');
    const freeBytes = async (): Promise<number> => {
      const { bavail, bsize } = await fs.statfs(rootOf('h2'));
      return bavail * bsize;
    };
    /** Leaves so much room and no more. */
    async function leave(bytes: number): Promise<void> {
      await fs.rm(filler(), { force: true });
      const handle = await fs.open(filler(), 'w');
      const chunk = Buffer.alloc(mebibyte / 4);
      try {
        for (let left = (await freeBytes()) - bytes; left > 0; ) left -= (await handle.write(chunk, 0, Math.min(chunk.length, left))).bytesWritten;
      } finally {
        await handle.close();
      }
    }
    afterEach(() => fs.rm(filler(), { force: true }));

    test('too little room for the bundle: refused before anything is done, with how much there is and how much is needed', async () => {
      await mustPublish(await pack('large', (directory) => fs.writeFile(join(directory, 'noise'), randomBytes(mebibyte))));
      await leave(2 * mebibyte);
      const { reason, steps } = await refusedBy('h2', 'large', 'disk_too_full');
      expect(steps).toEqual([]);
      expect(reason?.message).toMatch(/has 2 MiB free.*needs 6 MiB/);
      expect(reason?.hint).toContain('Make room');
    }, 180_000);

    test('no room at all: refused all the same', async () => {
      await leave(0);
      await refusedBy('h2', 'large', 'disk_too_full');
    }, 180_000);

    test('full while the bundle is unpacked: refused, nothing of it is left, and it works once there is room', async () => {
      // Repeats itself so far apart that only a large window sees it: small as a bundle, large on the disk.
      const block = randomBytes(mebibyte);
      await mustPublish(await pack('wide', (directory) => fs.writeFile(join(directory, 'wide'), Buffer.concat(Array.from({ length: 20 }, () => block)))));
      await leave(12 * mebibyte);
      const { reason } = await refusedBy('h2', 'wide', 'disk_full');
      expect(reason?.class).toBe('host');
      expect(reason?.hint).toContain('Make room');
      expect(await freeBytes()).toBeGreaterThan(11 * mebibyte);
      await fs.rm(filler());
      await succeeds('h2', 'wide');
    }, 180_000);

    test('full while the backup is taken: refused, the half of a backup is gone, and it works once there is room', async () => {
      await mustPublish(await pack('with-backup', async (directory) => {
        const file = join(directory, 'fairlead.yaml');
        await fs.writeFile(file, `${await fs.readFile(file, 'utf8')}backup:\n  paths: ["{state}/data"]\n`);
      }));
      await succeeds('h2', 'with-backup'); // What is backed up is for the release to say that runs before.
      await fs.writeFile(join(stack.layout('h2').stateRoot, 'data/blob'), randomBytes(6 * mebibyte));
      await mustPublish(await pack('after-backup'));
      await leave(4 * mebibyte);
      const backupsBefore = await fs.readdir(stack.layout('h2').backupsDir);
      const { reason } = await refusedBy('h2', 'after-backup', 'disk_full');
      expect(reason?.hint).toContain('Make room');
      expect(await fs.readdir(stack.layout('h2').backupsDir)).toEqual(backupsBefore);
      expect(await freeBytes()).toBeGreaterThan(3 * mebibyte);
      await fs.rm(filler());
      await succeeds('h2', 'after-backup');
    }, 180_000);

    test('the host is as healthy as before all of this', async () => {
      await eventually('the product answers', async () => (await fetch(`${await stack.address('h2')}/health/ready`)).ok);
      expect(await brokenActivation(rootOf('h2'), product)).toEqual([]);
    });
  });
});

function mustRun(...argv: [string, ...string[]]): void {
  const { status, stderr } = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}
