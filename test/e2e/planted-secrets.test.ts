import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { databaseUrlOf } from '../../bench/support/dev-database.ts';
import { agentLayout } from '../../src/domain/host/layout.ts';
import { parseInstanceConfig, renderInstanceConfig } from '../../src/domain/host/instance-config.ts';
import type { InstanceName } from '../../src/domain/ids.ts';
import { eventually } from '../support/eventually.ts';
import { cutDown } from '../support/matrix-product.ts';
import { commandLines, filesBelow, findSecrets, madeUp, madeUpPlain } from '../support/planted.ts';
import { project, startStack, type Stack } from '../support/stack.ts';

/**
 * Secrets of every kind are put where such secrets are, and used: an update that succeeds, one that fails with evidence, requests that are refused. Then each is looked for in whatever
 * Fairlead writes, keeps, answers and shows.
 *
 * Guarantee 5.
 */
describe('planted secrets', () => {
  const secrets: Record<string, string> = {
    'updater token': madeUp(),
    'bearer of a metric gate': madeUp(),
    'Temporal API key': madeUp(),
    'value of .env.production': madeUp(),
    'password that a hook prints': madeUp(),
    'session secret of an instance': madeUp(),
    'webhook secret': madeUp(),
    'EAB MAC key': madeUpPlain(),
    'password in the address of a gate': madeUpPlain(),
    'password in the address of a metric gate': madeUpPlain(),
    'Authorization of a failed request': madeUp(),
    'bearer of a failed request': madeUpPlain(),
    cookie: madeUp(),
    'field of a refused body': madeUp(),
    'broken JSON': madeUpPlain(),
    'token in a query': madeUpPlain(),
    'database password in an error of a child process': madeUpPlain(),
  };
  let stack: Stack;
  let prometheus: Server;
  let prometheusUrl: string;
  const shown: (string | undefined)[] = [];
  /** What was answered to whoever asked, by what was asked. */
  const answers = new Map<string, Buffer>();
  const arguments_ = new Map<string, Buffer>();
  const level = process.env['FAIRLEAD_LOG_LEVEL'];

  const text = async (file: string): Promise<string> => (await fs.readFile(file, 'utf8')).trim();
  const admin = (): Promise<string> => text(stack.dev.summary.adminKeyFile);
  async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
    const sent = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body);
    const response = await fetch(`${stack.dev.summary.api}${path}`, { method, headers: { authorization: `Bearer ${await admin()}`, ...(sent === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(sent === undefined ? {} : { body: sent }) });
    return { status: response.status, text: await response.text() };
  }
  /** As `ask`, and the answer is searched. */
  async function note(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
    const answer = await ask(method, path, body, headers);
    answers.set(`the answer to ${method} ${path.split('?')[0]} (${answer.status}, ${answers.size})`, Buffer.from(answer.text));
    return answer;
  }
  async function lookAtArguments(): Promise<void> {
    for (const [name, line] of await commandLines(stack.dir)) arguments_.set(`${name}: ${line.toString('latin1').slice(0, 60)}`, line);
  }

  beforeAll(async () => {
    process.env['FAIRLEAD_LOG_LEVEL'] = 'trace';
    stack = await startStack({ replace: { env: { FAIRLEAD_HOST_TEMPORAL: 'gateway', FAIRLEAD_ROUTER: 'embedded', FAIRLEAD_SUPERVISE_SECONDS: '2', FAIRLEAD_HEAL: 'report', TEMPORAL_API_KEY: secrets['Temporal API key']! } } });
    prometheus = createServer((request, response) => {
      shown.push(request.headers.authorization);
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [0, '0'] } }));
    });
    await new Promise<void>((resolve) => prometheus.listen(0, '127.0.0.1', resolve));
    prometheusUrl = `http://127.0.0.1:${(prometheus.address() as AddressInfo).port}`;
  }, 240_000);
  afterAll(async () => {
    if (level === undefined) delete process.env['FAIRLEAD_LOG_LEVEL'];
    else process.env['FAIRLEAD_LOG_LEVEL'] = level;
    prometheus?.close();
    await stack?.end();
  }, 120_000);

  const layout = () => stack.layout('h1');
  /** Hooks that print a password on the way to success and to failure, and an instance that tells what it has before it crashes. */
  const leaking = (fails: boolean) => async (directory: string): Promise<void> => {
    await cutDown(directory);
    const manifest = join(directory, 'fairlead.yaml');
    await fs.writeFile(manifest, (await fs.readFile(manifest, 'utf8')).replace("preflight: { command: [sh, -c, 'true']", `preflight: { command: [sh, -c, '. "$FAIRLEAD_CONFIG_DIR/.env.production" 2>/dev/null; echo "connected with $HOOK_PASSWORD"']`));
    if (!fails) return;
    const api = join(directory, 'api.mjs');
    const tell = `if (process.env.FAIRLEAD_INSTANCE === 'api-b' || process.env.SESSION_SECRET) {
      const { SESSION_SECRET: s = '', WEBHOOK_SECRET: w = '', DATABASE_URL: d = '' } = process.env;
      console.log(JSON.stringify({ session: s, url: 'http://x/?s=' + encodeURIComponent(s) }));
      console.error('Error: hook ' + w + ' refused; Authorization: Basic ' + Buffer.from('user:' + s).toString('base64'));
      console.error('Error: cannot connect to ' + d + ' (password ' + d.split(/[:@]/)[2] + ')');
      process.exit(3);
    }\n`;
    await fs.writeFile(api, `${tell}${await fs.readFile(api, 'utf8')}`);
  };

  test('they are planted and used', async () => {
    // On the host, in the files that hold such things.
    await stack.publish('r1', { edit: cutDown });
    expect((await stack.apply('h1', 'r1')).outcome).toBe('succeeded');
    await fs.writeFile(layout().envFile, `APP_TOKEN='${secrets['value of .env.production']}'\nHOOK_PASSWORD='${secrets['password that a hook prints']}'\n`, { mode: 0o600 });
    const conf = layout().configFile('api-b' as InstanceName);
    const values = { SESSION_SECRET: secrets['session secret of an instance']!, WEBHOOK_SECRET: secrets['webhook secret']!, DATABASE_URL: `postgres://app:${secrets['database password in an error of a child process']}@db/app` };
    await fs.writeFile(conf, renderInstanceConfig({ ...parseInstanceConfig(await fs.readFile(conf, 'utf8')), ...values }), { mode: 0o600 });
    await fs.mkdir(layout().certificatesDir, { recursive: true, mode: 0o700 });
    for (const [name, file] of [['ACME account key', 'account.key'], ['TLS private key', 'certificates/tls.key']] as const) {
      const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      secrets[name] = pem.split('\n')[1]!;
      await fs.writeFile(join(layout().acmeDir, file), pem, { mode: 0o600 });
    }
    const mac = join(layout().acmeDir, 'eab.mac');
    await fs.writeFile(mac, `${secrets['EAB MAC key']}\n`, { mode: 0o600 });
    await note('POST', '/api/certificates/issue', { host: 'h1', product: stack.product, names: ['app.example.org'], issuer: { kind: 'acme', directoryUrl: 'https://127.0.0.1:1/directory', externalAccountBinding: { keyIdentifier: 'kid-1', hmacKeyFile: mac } }, originPort: null });

    // Fairlead's own.
    secrets['key of an agent'] = await text(agentLayout(stack.dev.summary.hosts[0]!.root).agentKeyFile);
    secrets['key of the gateway'] = (await text(join(stack.dir, 'gateway-seal.keys'))).split(' ')[1]!;
    secrets['key of the settings'] = (await text(join(stack.dir, 'settings.keys'))).split(' ')[1]!;
    secrets['admin key'] = await admin();
    expect((await fs.stat(join(stack.dir, 'settings.keys'))).mode & 0o777).toBe(0o600);
    secrets['database password'] = new URL(databaseUrlOf(stack.dev)).password;
    secrets['API key'] = (JSON.parse((await ask('POST', '/api/keys', { name: 'planted', role: 'viewer' }, { 'idempotency-key': 'planted-key' })).text) as { text: string }).text;
    secrets['enrolment token'] = (JSON.parse((await ask('POST', '/api/enrolments', { host: 'h9' }, { 'idempotency-key': 'planted-enrolment' })).text) as { token: string }).token;
    await note('POST', '/api/keys', { name: 'planted', role: 'viewer' }, { 'idempotency-key': 'planted-key' });
    await note('POST', '/api/enrolments', { host: 'h9' }, { 'idempotency-key': 'planted-enrolment' });
    await note('POST', '/api/enrolments/exchange', { token: secrets['enrolment token'], host: 'h1' });
    await note('GET', '/api/runs', undefined, { authorization: `Bearer ${secrets['API key']}` });
    // The command reads it from its input; while it runs, its arguments are looked at.
    const set = spawn(join(project, 'bin/fairlead'), ['settings', 'set', 'bearer.https@updater.example', '--dir', stack.dir], { stdio: ['pipe', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [set.stdout, set.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await lookAtArguments();
    set.stdin.end(`${secrets['updater token']}\n`);
    expect([await new Promise((resolve) => set.once('close', resolve)), said]).toEqual([0, expect.stringContaining('****')]);
    answers.set('fairlead settings set', Buffer.from(said));
    await note('PUT', `/api/settings/${encodeURIComponent(`bearer.http@${new URL(prometheusUrl).host}`)}`, { value: secrets['bearer of a metric gate'] }, { 'idempotency-key': 'planted-setting' });

    // An update that succeeds, through a gate that shows its token.
    await stack.publish('r2', { edit: leaking(false) });
    const rollout = (url: string) => ({ product: stack.product, releaseId: 'r2', hosts: ['h1'], onHost: { bakeSeconds: 0 }, strategy: { bakeSeconds: 0, gates: [{ kind: 'metric', name: 'errors', before: 'all', url, query: 'errors', max: 1, everySeconds: 1 }] } });
    const { rolloutId } = JSON.parse((await note('POST', '/api/rollouts', rollout(prometheusUrl))).text) as { rolloutId: string };
    const outcome = await eventually('the rollout has ended', async () => (JSON.parse((await ask('GET', `/api/rollouts/${rolloutId}`)).text) as { outcome: string | null }).outcome, 240_000);
    expect(outcome).toBe('succeeded');
    expect(new Set(shown)).toEqual(new Set([`Bearer ${secrets['bearer of a metric gate']}`]));
    await lookAtArguments();

    // One that fails, with evidence.
    await stack.publish('r3', { edit: leaking(true) });
    const failed = await stack.apply('h1', 'r3');
    expect([failed.outcome, failed.evidence.some(({ kind }) => kind === 'log')]).toEqual(['rolled_back', true]);
    const evidence = JSON.stringify(failed.evidence);
    expect(evidence).toContain('cannot connect to ****');
    answers.set('the report, by Temporal', Buffer.from(JSON.stringify(failed)));

    // Requests that are refused.
    await note('GET', '/api/runs', undefined, { authorization: `Basic ${Buffer.from(`user:${secrets['Authorization of a failed request']}`).toString('base64')}` });
    await note('GET', '/api/runs', undefined, { authorization: `Bearer ${secrets['bearer of a failed request']}` });
    await note('GET', '/api/runs', undefined, { 'x-runtime-api-key': secrets['bearer of a failed request']! });
    await note('GET', '/api/runs', undefined, { cookie: `session=${secrets['cookie']}` });
    await note('POST', '/api/updates/apply', { host: 'h1', product: stack.product, releaseId: 'r2', password: secrets['field of a refused body'] }, { 'idempotency-key': 'planted-body' });
    await note('POST', '/api/updates/apply', `{"host":"h1","secret":${secrets['broken JSON']}`);
    await note('GET', `/api/runs?token=${secrets['token in a query']}`);
    await note('POST', '/api/rollouts', rollout(`http://user:${secrets['password in the address of a metric gate']}@127.0.0.1:1/`));
    await note('POST', '/api/rollouts', { ...rollout(prometheusUrl), strategy: { gates: [{ kind: 'external', name: 'ext', before: 'all', url: `http://user:${secrets['password in the address of a gate']}@127.0.0.1:1/`, everySeconds: 1 }] } });
    expect(Object.keys(secrets).length).toBeGreaterThanOrEqual(20);
  }, 600_000);

  test('what is answered and shown holds none of them', async () => {
    const { runs } = JSON.parse((await note('GET', '/api/runs')).text) as { runs: { runId: string }[] };
    for (const path of ['/health/detailed', '/metrics', '/api/hosts', '/api/hosts/h1', '/api/hosts/h1/sessions', '/api/releases', '/api/rollouts', '/api/certificates', '/api/settings', '/api/audit?limit=200', '/api/keys', '/api/enrolments', `/api/updates/status?host=h1&product=${stack.product}`, '/api/updates/history', ...runs.map(({ runId }) => `/api/runs/${runId}`)]) await note('GET', path);
    await lookAtArguments();
    const [first] = runs;
    expect([...answers].some(([, content]) => content.includes(first!.runId))).toBe(true);
    expect(arguments_.size).toBeGreaterThan(5);
    expect(findSecrets(secrets, new Map([...answers, ...arguments_]))).toEqual([]);
  }, 120_000);

  test('the support bundle holds none of them, and only its owner may read it', async () => {
    const file = join(stack.dir, 'support.tar.gz');
    const made = await stack.fairlead('support-bundle', '-o', file, '--logs', stack.dev.summary.logs, '--json');
    expect([made.exitCode, (JSON.parse(made.stdout) as { missing: unknown[] }).missing, (await fs.stat(file)).mode & 0o777]).toEqual([0, [], 0o600]);
    const archive = gunzipSync(await fs.readFile(file));
    for (const part of ['logs/agent-h1.log', 'runs.json', 'evidence.json', 'doctor.json', 'settings.json', 'rolled_back']) expect([part, archive.includes(part)]).toEqual([part, true]);
    expect(findSecrets(secrets, new Map([['the support bundle', archive], ['what it said', Buffer.from(`${made.stdout}${made.stderr}`)]]))).toEqual([]);
    const taken = await stack.fairlead('support-bundle', '-o', file);
    expect([taken.exitCode, taken.stderr]).toEqual([3, expect.stringContaining('is not overwritten')]);
    await fs.rm(file);
    // With the API away: what there is, and what is not and why.
    const alone = await stack.fairlead('support-bundle', '-o', file, '--api', 'http://127.0.0.1:1', '--logs', stack.dev.summary.logs, '--json');
    const { files, missing } = JSON.parse(alone.stdout) as { files: string[]; missing: { file: string; why: string }[] };
    expect([alone.exitCode, files, missing]).toEqual([0, expect.arrayContaining(['doctor.json', 'logs/api.log', 'contents.json']), [{ file: 'everything that the API tells', why: expect.stringContaining('cannot be reached') }]]);
    await fs.rm(file);
  }, 120_000);

  test("Temporal's histories hold none of them", async () => {
    const connection = await Connection.connect({ address: stack.dev.summary.temporal });
    try {
      const { workflow } = new Client({ connection });
      const histories = new Map<string, Buffer>();
      for await (const { workflowId, runId } of workflow.list()) {
        const { events } = await workflow.getHandle(workflowId, runId).fetchHistory();
        histories.set(`history of ${workflowId} ${runId}`, everyText(events));
      }
      expect([...histories.keys()].filter((name) => name.includes(`host/h1/${stack.product}`)).length).toBeGreaterThan(2);
      // The evidence is there, without what must not be.
      expect(Buffer.concat([...histories.values()]).includes('cannot connect to ****')).toBe(true);
      expect(findSecrets(secrets, histories)).toEqual([]);
    } finally {
      await connection.close();
    }
  }, 120_000);

  test('no column of any table holds one of them', async () => {
    const database = new pg.Client({ connectionString: databaseUrlOf(stack.dev) });
    await database.connect();
    try {
      const { rows: tables } = await database.query<{ name: string }>("select format('%I.%I', table_schema, table_name) as name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')");
      const dump = new Map<string, Buffer>();
      for (const { name } of tables) dump.set(`table ${name}`, Buffer.from((await database.query<{ all: string }>(`select coalesce(string_agg(t::text, E'\\n'), '') as "all" from ${name} t`)).rows[0]!.all));
      expect([dump.has('table public.audit'), Buffer.concat([...dump.values()]).includes('setting.set')]).toEqual([true, true]);
      expect(findSecrets(secrets, dump)).toEqual([]);
    } finally {
      await database.end();
    }
  }, 120_000);

  /** Where each of them is meant to be; nowhere else, neither in a log nor in a file of state. */
  const meant = [
    /^(admin\.key|gateway-seal\.keys|settings\.keys|postgres\.password|publisher\.key)$/,
    /^hosts\/h1\/etc\/fairlead\/agent\.key$/,
    /^hosts\/h1\/etc\/noderax-platform\/(\.env\.production|api-b\.conf)$/,
    /^hosts\/h1\/var\/lib\/noderax-platform\/acme\/(account\.key|eab\.mac|certificates\/tls\.key)$/,
    // What a run copied of them before it began, in a directory that only its owner may enter.
    /^hosts\/h1\/var\/lib\/noderax-platform\/fairlead\/backups\/[^/]+\/config\/(\.env\.production|api-b\.conf)$/,
    // What the product itself has written, in its own log on its own host.
    /^hosts\/h1\/.*\/logs?\/(noderax-platform\/)?api-b\.log$/,
  ];
  test('no log and no file of any process holds one of them, but for those that are meant to', async () => {
    const files = await filesBelow(stack.dir, (path) => /^postgres(\/|$)/.test(path) || /^(artifacts|.*\/releases|.*\/downloads)(\/|$)/.test(path) || /\.tar\.(zst|gz)$/.test(path));
    for (const log of ['api', 'control', 'agent-h1', 'temporal', 'postgres']) expect(files.has(`logs/${log}.log`)).toBe(true);
    expect(files.get('logs/api.log')!.includes('setting')).toBe(true);
    expect(findSecrets(secrets, new Map([...files].filter(([path]) => !meant.some((pattern) => pattern.test(path)))))).toEqual([]);
    // And the search finds what is there.
    expect(new Set(findSecrets(secrets, files).map((found) => found.split(' (')[0]))).toEqual(new Set(Object.keys(secrets).filter((name) => inFiles.has(name))));
  }, 120_000);
  const inFiles = new Set(['admin key', 'key of an agent', 'key of the gateway', 'key of the settings', 'database password', 'value of .env.production', 'password that a hook prints', 'session secret of an instance', 'webhook secret', 'database password in an error of a child process', 'ACME account key', 'TLS private key', 'EAB MAC key']);
});

/** Every text and every byte within, as they are: what a message makes of itself as JSON has its bytes in base64. */
function everyText(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(`${value}\n`);
  // By its shape: bytes of a native module are of another realm than the test.
  if (ArrayBuffer.isView(value)) return Buffer.concat([Buffer.from(value.buffer, value.byteOffset, value.byteLength), Buffer.from('\n')]);
  if (typeof value !== 'object' || value === null) return Buffer.alloc(0);
  return Buffer.concat(Object.entries(value).flatMap(([name, inner]) => [Buffer.from(`${name}: `), everyText(inner)]));
}
