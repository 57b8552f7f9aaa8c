import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readKeyText } from '../../../src/adapters/postgres/key-text.ts';
import { readSealKeys } from '../../../src/adapters/temporal-gateway/seal.ts';
import { developmentServerCommand, dynamicConfig, searchAttributes } from '../../../src/adapters/temporal-server/commands.ts';
import { loadSettings } from '../../../src/runtime/config.ts';
import { settingTable } from '../../../src/runtime/setting.ts';
import { describeWith, program } from '../../support/requirement.ts';

const repository = join(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');

test('production and development ask the same of a Temporal server: every key, and every value but that of the control queue', () => {
  const file = parse(read('deploy/temporal/dynamic-config.yaml')) as Record<string, { value: unknown; constraints?: unknown }[]>;
  const general = Object.fromEntries(Object.entries(file).map(([key, values]) => [key, values.find(({ constraints }) => constraints === undefined)?.value]));
  expect(general).toEqual(dynamicConfig);
});

test('production registers the same search attributes as development', () => {
  const script = read('deploy/register-search-attributes.sh');
  expect(/for name in (.+); do/.exec(script)?.[1]?.split(' ')).toEqual([...searchAttributes]);
});

test('the development server gets a database file, loopback, and every setting', () => {
  const argv = developmentServerCommand({ cli: '/t', databaseFile: '/d/t.db', port: 1, uiPort: 2, namespace: 'default' });
  expect(argv.slice(0, 15)).toEqual(['/t', 'server', 'start-dev', '--db-filename', '/d/t.db', '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL', '--ip', '127.0.0.1', '--port', '1', '--ui-port', '2']);
  expect(argv).toEqual(expect.arrayContaining(['FairleadOutcome=Keyword', 'history.transferProcessorMaxPollRPS=2000', 'matching.numTaskqueueReadPartitions=1']));
});

describe('docker-compose.yml', () => {
  interface Service {
    readonly image: string;
    readonly environment?: Record<string, string>;
    readonly ports?: string[];
    readonly secrets?: string[];
    readonly networks?: string[];
    readonly healthcheck?: unknown;
    readonly logging?: { options: Record<string, string> };
    readonly mem_limit?: string;
    readonly cpus?: number;
    readonly pids_limit?: number;
  }
  const compose = parse(read('docker-compose.yml'), { merge: true }) as { services: Record<string, Service>; secrets: Record<string, { file: string }> };
  const services = Object.entries(compose.services);

  test.each(['fairlead-api', 'fairlead-control'])('gives %s only settings that there are, and they are valid', (name) => {
    const environment = compose.services[name]!.environment!;
    const known = [...settingTable.map(({ env }) => env as string), 'FAIRLEAD_ENV_FILE'];
    expect(Object.keys(environment).filter((variable) => !known.includes(variable))).toEqual([]);
    const filled = Object.fromEntries(Object.entries(environment).map(([variable, value]) => [variable, value.replace(/\$\{\w+:-(.*)\}/, '$1')]));
    const loaded = loadSettings(filled, [], (path) => (path === '/run/secrets/fairlead_env' ? 'FAIRLEAD_DATABASE_URL=postgres://u:p@h/d\n' : null));
    expect(loaded).toMatchObject({ ok: true, settings: { role: 'controller', profile: 'remote' } });
  });

  test('publishes nothing beyond loopback unless it is told to, and then only what nginx serves', () => {
    const open = services.filter(([, { ports = [] }]) => ports.some((port) => !port.startsWith('127.0.0.1:'))).map(([name]) => name);
    expect(open).toEqual(['nginx']);
    expect(compose.services['nginx']!.ports!.filter((port) => !port.startsWith('${FAIRLEAD_PUBLISH:-127.0.0.1}:'))).toEqual([]);
    expect(compose.services['nginx']!.networks).toEqual(['edge']);
    expect(services.filter(([, { networks = [] }]) => networks.includes('edge')).map(([name]) => name)).toEqual(['nginx', 'fairlead-api']);
  });

  test('watches over everything that stays, bounds what each container may use, and has its log go round', () => {
    expect(services.filter(([, { healthcheck }]) => healthcheck === undefined).map(([name]) => name)).toEqual(['temporal-setup']);
    for (const [name, { mem_limit, cpus, pids_limit, logging }] of services) expect([name, mem_limit !== undefined, cpus !== undefined, pids_limit !== undefined, logging?.options]).toEqual([name, true, true, true, { 'max-size': '10m', 'max-file': '5' }]);
  });

  test('has secrets in files only, each of which make-secrets.sh makes', () => {
    const variables = services.flatMap(([, { environment = {} }]) => Object.entries(environment));
    expect(variables.filter(([name]) => /PASSWORD$|PWD$|_URL$/.test(name) && !/API_URL|UI_URL/.test(name))).toEqual([]);
    const used = new Set(services.flatMap(([, { secrets = [] }]) => secrets));
    expect([...used].sort()).toEqual(Object.keys(compose.secrets).sort());
    for (const { file } of Object.values(compose.secrets)) expect(read('deploy/make-secrets.sh')).toContain(`make ${file.replace('deploy/secrets/', '')}`);
  });
});

describeWith([program('openssl')], 'the secrets of docker-compose.yml', () => {
  test('make-secrets.sh makes each secret once, lets nobody else in, and a second run changes none', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-secrets-'));
    try {
      cpSync(join(repository, 'deploy'), join(folder, 'deploy'), { recursive: true, filter: (path) => !path.endsWith('secrets') });
      symlinkSync(join(repository, 'bin'), join(folder, 'bin'));
      const secrets = join(folder, 'deploy/secrets');
      const contents = (): Record<string, string> => Object.fromEntries(readdirSync(secrets, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(secrets, name)).isFile()).map((name) => [name, readFileSync(join(secrets, name), 'utf8')]));
      const run = () => spawnSync(join(folder, 'deploy/make-secrets.sh'), { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
      expect(run()).toMatchObject({ status: 0 });
      const first = contents();
      expect(Object.keys(first).sort()).toEqual(['admin.key', 'audit.key', 'audit.pub', 'fairlead-database.password', 'fairlead.env', 'gateway/seal.keys', 'gateway/tls.crt', 'gateway/tls.key', 'settings.keys', 'temporal-database.password', 'tls/tls.crt', 'tls/tls.key']);
      expect([new X509Certificate(first['tls/tls.crt']!).checkHost('localhost'), new X509Certificate(first['gateway/tls.crt']!).checkHost('fairlead-api')]).toEqual(['localhost', 'fairlead-api']);
      expect(readSealKeys(first['gateway/seal.keys']!, 'seal.keys')).toMatchObject([{ id: 'k1' }]);
      expect(readKeyText(first['admin.key']!.trim())).toEqual({ role: 'admin' });
      expect(first['fairlead.env']).toContain(`:${first['fairlead-database.password']!.trim()}@`);
      expect((statSync(secrets).mode & 0o777).toString(8)).toBe('700');
      expect(run()).toMatchObject({ status: 0 });
      expect(contents()).toEqual(first);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
