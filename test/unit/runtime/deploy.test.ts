import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readKeyText } from '../../../src/adapters/postgres/key-text.ts';
import { readSealKeys } from '../../../src/adapters/temporal-gateway/seal.ts';
import { developmentServerCommand, dynamicConfig, searchAttributes } from '../../../src/adapters/temporal-server/commands.ts';
import { loadSettings } from '../../../src/runtime/config.ts';
import { settingTable } from '../../../src/runtime/setting.ts';

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
  expect(argv.slice(0, 11)).toEqual(['/t', 'server', 'start-dev', '--db-filename', '/d/t.db', '--ip', '127.0.0.1', '--port', '1', '--ui-port', '2']);
  expect(argv).toEqual(expect.arrayContaining(['FairleadOutcome=Keyword', 'history.transferProcessorMaxPollRPS=2000', 'matching.numTaskqueueReadPartitions=1']));
});

describe('docker-compose.yml', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as { services: Record<string, { environment?: Record<string, string>; command?: string[]; ports?: string[]; healthcheck?: unknown }> };

  test('gives Fairlead only settings that there are, and they are valid', () => {
    const environment = compose.services['fairlead-api']!.environment!;
    const known = settingTable.map(({ env }) => env as string);
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
    const filled = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, value.replace(/\$\{\w+:-(.*)\}/, '$1')]));
    const loaded = loadSettings({ ...filled, FAIRLEAD_DATABASE_URL: 'postgres://u:p@h/d' }, [], () => null);
    expect(loaded).toMatchObject({ ok: true, settings: { role: 'controller', profile: 'remote' } });
  });

  test('publishes nothing beyond loopback unless it is told to, and watches over everything that stays', () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports.filter((port) => !/^(127\.0\.0\.1|\$\{\w+:-127\.0\.0\.1\}):/.test(port))).toEqual([]);
    const unwatched = Object.entries(compose.services).filter(([, service]) => service.healthcheck === undefined).map(([name]) => name);
    expect(unwatched).toEqual(['temporal-setup', 'temporal-ui']);
  });
});

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
    expect(Object.keys(first).sort()).toEqual(['admin.key', 'fairlead-database.env', 'fairlead.env', 'gateway/seal.keys', 'temporal-database.env', 'temporal.env']);
    expect(readSealKeys(first['gateway/seal.keys']!, 'seal.keys')).toMatchObject([{ id: 'k1' }]);
    expect(readKeyText(first['admin.key']!.trim())).toEqual({ role: 'admin' });
    expect(first['fairlead.env']).toContain(first['fairlead-database.env']!.trim().split('=')[1]);
    expect((statSync(secrets).mode & 0o777).toString(8)).toBe('700');
    expect(run()).toMatchObject({ status: 0 });
    expect(contents()).toEqual(first);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
