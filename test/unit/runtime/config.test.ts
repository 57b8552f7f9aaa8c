import { loadSettings, section, settingsOrThrow, shownValue } from '../../../src/runtime/config.ts';
import type { Settings } from '../../../src/runtime/config.ts';

const noFile = (): null => null;
const database = { FAIRLEAD_DATABASE_URL: 'postgres://fairlead:hunter2hunter2@127.0.0.1:5432/fairlead' };
const node = { FAIRLEAD_ROLE: 'node', FAIRLEAD_API_URL: 'https://control.example.net/', FAIRLEAD_HOST_ID: 'web-3' };

function settingsOf(env: Record<string, string>, argv: string[] = [], file: Record<string, string> = {}): Settings {
  const loaded = loadSettings(env, argv, (path) => file[path] ?? null);
  if (!loaded.ok) throw new Error(loaded.problems.map(({ where, message }) => `${where}: ${message}`).join('\n'));
  return loaded.settings;
}

function problemsOf(env: Record<string, string>, argv: string[] = [], file: Record<string, string> = {}): string[] {
  const loaded = loadSettings(env, argv, (path) => file[path] ?? null);
  return loaded.ok ? [] : loaded.problems.map(({ where, message }) => `${where}: ${message}`);
}

const sourceOf = (settings: Settings, key: string) => settings.values.find((value) => value.key === key)?.source;

describe('which role a process has', () => {
  test('nothing said: controller, and the source is the default', () => {
    const settings = settingsOf(database);
    expect(settings.role).toBe('controller');
    expect(sourceOf(settings, 'role')).toBe('default');
    expect(settings.host).toBeNull();
  });

  const file = { '/etc/fairlead/config.yaml': 'role: node\napi:\n  url: http://c:1\nhost:\n  id: h9\n' };
  test('file alone decides, and the source names its line', () => {
    const settings = settingsOf({}, [], file);
    expect(settings.role).toBe('node');
    expect(sourceOf(settings, 'role')).toBe('/etc/fairlead/config.yaml:1');
    expect(sourceOf(settings, 'host.id')).toBe('/etc/fairlead/config.yaml:5');
  });
  test('environment wins over the file', () => {
    const settings = settingsOf({ ...database, FAIRLEAD_ROLE: 'controller' }, [], file);
    expect(settings.role).toBe('controller');
    expect(sourceOf(settings, 'role')).toBe('FAIRLEAD_ROLE');
  });
  test('flag wins over environment and file', () => {
    const settings = settingsOf({ ...database, FAIRLEAD_ROLE: 'controller' }, ['--role=node'], file);
    expect(settings.role).toBe('node');
    expect(sourceOf(settings, 'role')).toBe('--role');
  });
});

describe("a controller's gateway", () => {
  const gateway = { ...database, FAIRLEAD_GATEWAY_LISTEN: '0.0.0.0:8422' };
  test('is not there unless it is told where to listen', () => expect(section(settingsOf(database), 'api').gateway).toBeNull());
  test('needs a certificate and its key, and says which is missing', () => {
    expect(problemsOf(gateway)).toEqual([expect.stringContaining('FAIRLEAD_GATEWAY_CERTIFICATE_FILE'), expect.stringContaining('FAIRLEAD_GATEWAY_KEY_FILE')]);
    expect(section(settingsOf({ ...gateway, FAIRLEAD_GATEWAY_CERTIFICATE_FILE: '/c', FAIRLEAD_GATEWAY_KEY_FILE: '/k' }), 'api').gateway).toEqual({
      listen: { host: '0.0.0.0', port: 8422 },
      tls: { certificateFile: '/c', keyFile: '/k' },
      sealKeyFile: '/etc/fairlead/gateway-seal.keys',
    });
  });
  test('without TLS listens on loopback only', () => {
    expect(problemsOf({ ...gateway, FAIRLEAD_GATEWAY_TLS: 'off' })).toEqual([expect.stringMatching(/gateway\.tls.*0\.0\.0\.0.*loopback/)]);
    expect(section(settingsOf({ ...gateway, FAIRLEAD_GATEWAY_LISTEN: '127.0.0.1:0', FAIRLEAD_GATEWAY_TLS: 'off' }), 'api').gateway).toMatchObject({ tls: null });
  });
});

describe('a node', () => {
  test('without a controller address is refused, and the message says how to give it', () => {
    const [problem] = problemsOf({ FAIRLEAD_ROLE: 'node', FAIRLEAD_HOST_ID: 'web-3' });
    expect(problem).toMatch(/controller's address/);
    expect(problem).toContain('--controller VALUE');
    expect(problem).toContain('FAIRLEAD_API_URL');
  });
  test("reaches Temporal through the gateway on its controller's host, with TLS, where nothing is said", () => {
    expect(section(settingsOf(node), 'host').gateway).toEqual({ address: 'control.example.net:8422', tls: { caFile: null } });
    expect(section(settingsOf({ ...node, FAIRLEAD_GATEWAY_ADDRESS: 'g:1', FAIRLEAD_GATEWAY_CA_FILE: '/ca.pem' }), 'host').gateway).toEqual({ address: 'g:1', tls: { caFile: '/ca.pem' } });
    expect(section(settingsOf({ ...node, FAIRLEAD_HOST_TEMPORAL: 'direct' }), 'host').gateway).toBeNull();
  });
  test('shows its key to a gateway without TLS on loopback only', () => {
    expect(problemsOf({ ...node, FAIRLEAD_GATEWAY_TLS: 'off' })).toEqual([expect.stringMatching(/gateway\.tls.*control\.example\.net.*loopback/)]);
    expect(section(settingsOf({ ...node, FAIRLEAD_GATEWAY_TLS: 'off', FAIRLEAD_GATEWAY_ADDRESS: '127.0.0.1:1' }), 'host').gateway).toEqual({ address: '127.0.0.1:1', tls: null });
  });
  test("takes the Temporal server from its controller's host where none is given", () => {
    const host = section(settingsOf(node), 'host');
    expect(host.temporal.address).toBe('control.example.net:7233');
    expect(host.apiUrl).toBe('https://control.example.net');
    expect(host.apiKeyFile).toBe('/etc/fairlead/agent.key');
  });
  test('has every path below its root', () => {
    const host = section(settingsOf({ ...node, FAIRLEAD_ROOT: '/srv/h1/' }), 'host');
    expect(host.root).toBe('/srv/h1');
    expect(host.apiKeyFile).toBe('/srv/h1/etc/fairlead/agent.key');
  });
  test('with a health endpoint beyond loopback is refused', () => {
    expect(problemsOf({ ...node, FAIRLEAD_HEALTH_LISTEN: '0.0.0.0:8421' })).toEqual([expect.stringMatching(/^FAIRLEAD_HEALTH_LISTEN: .*loopback only/)]);
  });
  test('has no control and no api section, and asking for one says which role has it', () => {
    const settings = settingsOf(node);
    expect(settings.control).toBeNull();
    expect(() => section(settings, 'api')).toThrow(/role node does not have/);
  });
});

test('profile remote has the scheduler on and no default for Temporal', () => {
  expect(problemsOf({ ...database, FAIRLEAD_PROFILE: 'remote' })).toEqual([expect.stringContaining('FAIRLEAD_TEMPORAL_ADDRESS')]);
  const settings = settingsOf({ ...database, FAIRLEAD_PROFILE: 'remote', FAIRLEAD_TEMPORAL_ADDRESS: 'temporal:7233' });
  expect(settings.control?.features).toEqual({ scheduler: true, recovery: true });
  expect(settingsOf(database).control?.features).toEqual({ scheduler: false, recovery: true });
});

test('a feature switched off by hand stays off in a profile that has it on', () => {
  const settings = settingsOf({ ...database, FAIRLEAD_PROFILE: 'remote', FAIRLEAD_TEMPORAL_ADDRESS: 't:7233', FAIRLEAD_SCHEDULER: 'off' });
  expect(settings.control?.features.scheduler).toBe(false);
});

test('every problem is named at once, each with its place', () => {
  const problems = problemsOf(
    { FAIRLEAD_ROLE: 'boss', FAIRLEAD_STICKY_TIMEOUT_MS: '5s', FAIRLEAD_API_LISTEN: '8420', FAIRLEAD_ARTIFACTS_DIR: 'here' },
    ['--colour', 'red', '--log-level'],
    { '/etc/fairlead/config.yaml': 'host:\n  id: UPPER\n  speed: 3\n' },
  );
  expect(problems.map((problem) => problem.split(': ')[0])).toEqual([
    '--colour', 'red', '--log-level', '/etc/fairlead/config.yaml:3', 'FAIRLEAD_ROLE', 'FAIRLEAD_API_LISTEN', 'FAIRLEAD_ARTIFACTS_DIR', '/etc/fairlead/config.yaml:2', 'FAIRLEAD_STICKY_TIMEOUT_MS', 'database.url',
  ]);
});

test('a file that is no YAML is a problem with its line', () => {
  expect(problemsOf(database, [], { '/etc/fairlead/config.yaml': 'role: node\napi: {\n' })).toEqual([expect.stringMatching(/^\/etc\/fairlead\/config\.yaml:\d+: /)]);
});

test('a file that was named and is not there is a problem; the usual one may be missing', () => {
  expect(problemsOf({ ...database, FAIRLEAD_CONFIG: '/gone.yaml' })).toEqual(['FAIRLEAD_CONFIG: names /gone.yaml, which does not exist']);
  expect(loadSettings(database, [], noFile).ok).toBe(true);
});

test('a file that cannot be read is a problem, not a crash', () => {
  const loaded = loadSettings(database, [], () => { throw new Error('EACCES: permission denied'); });
  expect(loaded).toEqual({ ok: false, problems: [{ where: '/etc/fairlead/config.yaml', message: 'cannot be read: EACCES: permission denied' }] });
});

describe('secrets', () => {
  test('are masked where settings are shown', () => {
    const settings = settingsOf({ ...node, FAIRLEAD_API_KEY: 'flk_0123456789abcdefghij' });
    expect(settings.values.filter(({ key }) => key === 'api.key').map(shownValue)).toEqual(['flk_****ghij']);
    expect(settingsOf(database).values.filter(({ key }) => key === 'database.url').map(shownValue)).toEqual(['postgres://fairlead:****@127.0.0.1:5432/fairlead']);
  });
  test('do not stand in the error about a wrong value', () => {
    const wrong = 'mysql://fairlead:hunter2hunter2@db/fairlead';
    expect(() => settingsOrThrow({ FAIRLEAD_DATABASE_URL: wrong }, [], noFile)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
    expect(() => settingsOrThrow({ FAIRLEAD_DATABASE_URL: 'hunter2 hunter2' }, [], noFile)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') }));
  });
});

test.each([
  ['keys', ['--settings-keys', `k1 ${'a'.repeat(43)}=`], '--settings-keys', 'FAIRLEAD_SETTINGS_KEYS'],
  ['a password within an address', ['--database-url', 'postgres://fairlead:hunter2hunter2@db/fairlead'], '--database-url', 'FAIRLEAD_DATABASE_URL'],
])('a secret among the arguments, %s: refused, with where it belongs', (_what, argv, flag, variable) => {
  const [problem, ...others] = problemsOf(flag === '--database-url' ? {} : database, argv);
  expect([others, problem]).toEqual([[], expect.stringMatching(new RegExp(`^${flag}: holds a secret.*set ${variable}`))]);
  expect(problem).not.toMatch(/hunter2|aaaa/);
});

test('payloads are encrypted where there are keys, and only opened where that is switched off', () => {
  expect(section(settingsOf(database), 'api').temporal.codec).toBeNull();
  const file = { ...database, FAIRLEAD_TEMPORAL_CODEC_KEY_FILE: '/etc/fairlead/codec.keys' };
  expect(section(settingsOf(file), 'control').temporal.codec).toEqual({ keyFile: '/etc/fairlead/codec.keys', seals: true });
  expect(section(settingsOf({ ...file, FAIRLEAD_TEMPORAL_CODEC: 'off' }), 'control').temporal.codec?.seals).toBe(false);
});

test('an empty variable counts as not set', () => {
  expect(settingsOf({ ...database, FAIRLEAD_ROLE: '' }).role).toBe('controller');
});

describe('a program that is only one of the two roles', () => {
  test('takes its own role where nobody says one', () => {
    const loaded = loadSettings({ FAIRLEAD_API_URL: 'http://c', FAIRLEAD_HOST_ID: 'h1' }, [], noFile, 'node');
    expect(loaded).toMatchObject({ ok: true, settings: { role: 'node' } });
  });
  test.each<[string, Record<string, string>, string[], Record<string, string>]>([
    ['--role', {}, ['--role', 'controller'], {}],
    ['FAIRLEAD_ROLE', { FAIRLEAD_ROLE: 'controller' }, [], {}],
    ['/etc/fairlead/config.yaml:1', {}, [], { '/etc/fairlead/config.yaml': 'role: controller\n' }],
  ])('%s says the other: refused by that alone, not by what the other role lacks', (where, env, argv, files) => {
    const loaded = loadSettings(env, argv, (path) => files[path] ?? null, 'node');
    expect(loaded).toEqual({ ok: false, problems: [{ where, message: expect.stringContaining('--role node') }] });
  });
});

describe('a file of variables', () => {
  const files = { '/etc/fairlead/agent.env': '# of this host\nFAIRLEAD_ROLE=node\nFAIRLEAD_HOST_ID="web-3"\nFAIRLEAD_API_URL=https://control.example.net # ours\nOTHER=1\n', '/etc/fairlead/config.yaml': 'role: controller\nhost:\n  id: h9\n' };
  test('stands between the environment and the configuration file, and is named as the source', () => {
    const settings = settingsOf({ FAIRLEAD_ENV_FILE: '/etc/fairlead/agent.env', FAIRLEAD_HOST_ID: 'web-4' }, [], files);
    expect([settings.role, sourceOf(settings, 'role')]).toEqual(['node', '/etc/fairlead/agent.env: FAIRLEAD_ROLE']);
    expect(section(settings, 'host')).toMatchObject({ hostId: 'web-4', apiUrl: 'https://control.example.net' });
    expect(settingsOf({ ...database, FAIRLEAD_ENV_FILE: '/etc/fairlead/agent.env' }, ['--role', 'controller'], files).role).toBe('controller');
  });
  test('that was named and is not there is a problem, unless a dash says that it may be missing', () => {
    expect(problemsOf(database, ['--env-file', '-/gone.env'])).toEqual([]);
    expect(settingsOf({ ...database, FAIRLEAD_ENV_FILE: '-/there.env' }, [], { '/there.env': 'FAIRLEAD_PROFILE=local\nFAIRLEAD_LOG_LEVEL=warn\n' }).control?.logLevel).toBe('warn');
    expect(problemsOf(database, ['--env-file', '/gone.env'])).toEqual(['--env-file: names /gone.env, which does not exist']);
  });
  test('that holds a wrong value is named as its place', () => {
    expect(problemsOf(database, ['--env-file', '/e'], { '/e': 'FAIRLEAD_LOG_LEVEL=loud\n' })).toEqual([expect.stringMatching(/^\/e: FAIRLEAD_LOG_LEVEL: log\.level is "loud"/)]);
  });
});

test("a control worker's health endpoint beyond loopback is refused", () => {
  expect(problemsOf({ ...database, FAIRLEAD_WORKER_HEALTH_LISTEN: '0.0.0.0:1' })).toEqual([expect.stringMatching(/^FAIRLEAD_WORKER_HEALTH_LISTEN: .*loopback only/)]);
  expect(settingsOf({ ...database, FAIRLEAD_WORKER_HEALTH_LISTEN: '127.0.0.1:8422' }).control?.healthListen).toEqual({ host: '127.0.0.1', port: 8422 });
});

describe("a controller's audit, proxies and updater", () => {
  test('none of them unless it is said', () => {
    expect(section(settingsOf(database), 'api')).toMatchObject({ trustedProxies: [], audit: { keyFile: null, checkpointRows: 1_000, checkpointSeconds: 300 }, updater: null });
  });
  test('as they are said', () => {
    const said = { ...database, FAIRLEAD_TRUSTED_PROXIES: '127.0.0.1,10.1.0.0/16', FAIRLEAD_AUDIT_KEY_FILE: '/k', FAIRLEAD_AUDIT_CHECKPOINT_ROWS: '5', FAIRLEAD_UPDATER_URL: 'https://updater.example/', FAIRLEAD_UPDATER_TOKEN_FILE: '/t' };
    expect(section(settingsOf(said), 'api')).toMatchObject({ trustedProxies: ['127.0.0.1', '10.1.0.0/16'], audit: { keyFile: '/k', checkpointRows: 5 }, updater: { url: 'https://updater.example', tokenFile: '/t' } });
  });
  test('what is no network, and an updater without a token, are told together', () => {
    const loaded = loadSettings({ ...database, FAIRLEAD_TRUSTED_PROXIES: '10.1.0.0/99', FAIRLEAD_UPDATER_URL: 'https://updater.example' }, [], () => null);
    expect(loaded).toMatchObject({ ok: false, problems: expect.arrayContaining([{ where: 'FAIRLEAD_TRUSTED_PROXIES', message: expect.stringContaining('10.1.0.0/99') }, { where: 'updater.tokenFile', message: expect.stringContaining('token') }]) });
  });
});
