import { renderConfig, startCommand, testCommand, type NginxSettings } from '../../../../src/adapters/router/nginx/commands.ts';
import { parseErrors, parseListens, parseModules, parseStatus, parseTitle, parseTrafficLine, parseVersion, parseWorkerUser } from '../../../../src/adapters/router/nginx/parse.ts';
import { chosenWays, poolsOf } from '../../../../src/adapters/router/nginx/pools.ts';
import type { InstanceName, ProductName, ServiceName } from '../../../../src/domain/ids.ts';
import type { RouterState } from '../../../../src/ports/router.ts';

const settings: NginxSettings = { listenAddress: '127.0.0.1', workerUser: null, version: [1, 22, 1] };
const stateWith = (members: Record<string, boolean>, change: Partial<RouterState> = {}): RouterState => ({
  split: null,
  product: 'shop' as ProductName,
  declaration: { listen: 80, routes: [{ path: '/api/', service: 'api' as ServiceName }], nginx: { include: null, upstreams: { api: 'shop_api' } } },
  port: 8080,
  releaseDir: '/opt/shop/releases/r1',
  members: Object.entries(members).map(([name, admitted], index) => ({ service: 'api' as ServiceName, instance: `api-${name}` as InstanceName, port: 4000 + index, admitted })),
  ...change,
});
const names = (pools: readonly { members: readonly { instance: string }[] }[]) => pools.map(({ members }) => members.map(({ instance }) => instance.slice(4)).join(''));
const to = (...instances: string[]) => instances.map((name) => `api-${name}` as InstanceName);

describe('nginx: sets of instances', () => {
  test('few instances: every set, so that any can be chosen without a reload', () => {
    expect(names(poolsOf('/d', stateWith({ a: true, b: false, c: true }))).sort()).toEqual(['a', 'ab', 'abc', 'ac', 'b', 'bc', 'c']);
  });

  test('many instances: all, all but one, each alone, who is admitted, and who is not', () => {
    const state = stateWith({ a: true, b: true, c: false, d: true, e: false });
    expect(names(poolsOf('/d', state)).sort()).toEqual(['a', 'abcd', 'abcde', 'abce', 'abd', 'abde', 'acde', 'b', 'bcde', 'c', 'ce', 'd', 'e']);
  });

  test('who is chosen is always among them; nobody admitted chooses none', () => {
    const state = stateWith({ a: true, b: false });
    const pools = poolsOf('/d', state);
    for (const slot of chosenWays('/d', state)[0]?.slots ?? []) expect(pools).toContainEqual(slot);
    expect(chosenWays('/d', stateWith({ a: false, b: false }))).toMatchObject([{ service: 'api', slots: Array.from({ length: 100 }, () => null) }]);
  });

  const shares = (state: RouterState) => {
    const counts: Record<string, number> = {};
    for (const pool of chosenWays('/d', state)[0]?.slots ?? []) counts[names(pool === null ? [] : [pool])[0] ?? 'nobody'] = (counts[names(pool === null ? [] : [pool])[0] ?? 'nobody'] ?? 0) + 1;
    return counts;
  };

  test.each([
    [0, { a: 100 }],
    [0.2, { a: 99, bc: 1 }],
    [1, { a: 99, bc: 1 }],
    [10, { a: 90, bc: 10 }],
    [99.9, { a: 1, bc: 99 }],
    [100, { bc: 100 }],
  ])('a split of %s percent: so many of a hundred slots lead to each side', (percent, expected) => {
    expect(shares(stateWith({ a: true, b: true, c: true }, { split: { to: to('b', 'c'), percent } }))).toEqual(expected);
  });

  test('who is not admitted gets no slot; with one side only there is no split', () => {
    expect(shares(stateWith({ a: true, b: true, c: false }, { split: { to: to('b', 'c'), percent: 10 } }))).toEqual({ a: 90, b: 10 });
    expect(shares(stateWith({ a: true, b: false, c: false }, { split: { to: to('b', 'c'), percent: 10 } }))).toEqual({ a: 100 });
    expect(shares(stateWith({ a: true, b: true }, { split: { to: to('x'), percent: 10 } }))).toEqual({ ab: 100 });
  });

  test('two hosts on one machine have sockets of different names', () => {
    const state = stateWith({ a: true });
    expect(poolsOf('/one', state)[0]?.socket).not.toBe(poolsOf('/two', state)[0]?.socket);
  });
});

describe('nginx: TLS', () => {
  const tls = { directory: '/var/lib/shop/acme/certificates/a.example.org/current', names: ['a.example.org', '*.b.example.org'], ports: [443, 8443], redirect: true, hsts: { maxAgeSeconds: 60, includeSubDomains: false, preload: false } };
  const mainOf = (change: Partial<RouterState>, own: Partial<NginxSettings> = {}) => renderConfig('/h', stateWith({ a: true }, change), null, { ...settings, http2: true, tls: true, ...own }).main;
  const serverOf = (text: string, listen: string) => text.split('    server {').find((server) => server.includes(listen)) ?? '';

  test('without it, the configuration is what it was: an agent that learned TLS reloads nothing', () => {
    expect(mainOf({})).toBe(mainOf({ tls: null, challenges: false }));
    expect(mainOf({})).not.toMatch(/ssl|308|HTTP\/2|acme/);
  });
  test('every port ends TLS by the pair that `current` leads to, without session tickets, with HSTS only there', () => {
    const text = mainOf({ tls });
    const server = serverOf(text, 'listen 127.0.0.1:443 ssl http2');
    for (const line of ['listen 127.0.0.1:8443 ssl http2', `ssl_certificate ${tls.directory}/fullchain.pem;`, `ssl_certificate_key ${tls.directory}/key.pem;`, 'ssl_protocols TLSv1.2 TLSv1.3;', 'ssl_session_tickets off;', 'Strict-Transport-Security "max-age=60"', 'locations.conf;']) expect(server).toContain(line);
    expect(text.match(/Strict-Transport-Security/g)).toHaveLength(1);
    expect(text).not.toMatch(/return 308 http:/);
  });
  test('plain HTTP is redirected to the name that was asked for where it is ours, else to the first one; where it is not proven, it is served', () => {
    const text = mainOf({ tls });
    expect(text).toContain('return 308 https://a.example.org$request_uri;');
    expect(text).toMatch(/server_name a.example.org "\*.b.example.org";\n\s+location \/ \{\n.*\n\s+return 308 https:\/\/\$host\$request_uri;/);
    expect(mainOf({ tls: { ...tls, ports: [8443] } })).toContain('https://a.example.org:8443$request_uri');
    expect(mainOf({ tls: { ...tls, redirect: false } })).not.toContain('308');
    expect(mainOf({ tls: { ...tls, names: ['*.b.example.org'] } })).toContain('return 421;');
  });
  test('challenges are answered on the plain port, before every redirect', () => {
    for (const change of [{}, { tls }, { tls: { ...tls, redirect: false } }]) expect(mainOf({ ...change, challenges: true })).toMatch(/listen 127.0.0.1:8080[^}]*location \^~ \/.well-known\/acme-challenge\//);
  });
  test('HTTP/2 as the version says it, and none where the module is not there', () => {
    expect(serverOf(mainOf({ tls }, { version: [1, 26, 0] }), ':443 ssl')).toMatch(/listen 127.0.0.1:443 ssl backlog=1024;[\s\S]*http2 on;/);
    expect(mainOf({ tls }, { http2: false })).not.toMatch(/http2/);
  });
});

describe('nginx: its configuration', () => {
  const generationOf = (state: RouterState, include: string | null = null) => renderConfig('/h', state, include, settings).generation;

  test('letting an instance in or out changes nothing in it; ports, routes and the include do', () => {
    const state = stateWith({ a: true, b: true });
    expect(generationOf(stateWith({ a: false, b: true }))).toBe(generationOf(state));
    expect(generationOf({ ...state, port: 81 })).not.toBe(generationOf(state));
    expect(generationOf(stateWith({ a: true, b: true, c: true }))).not.toBe(generationOf(state));
    expect(generationOf(state, 'location / { return 204; }')).not.toBe(generationOf(state));
  });

  test('neither does a split, nor the whole course of a release in another colour, also of many instances', () => {
    const small = stateWith({ a: true, b: true });
    expect(generationOf({ ...small, split: { to: to('b'), percent: 10 } })).toBe(generationOf(small));
    const colours = (blue: boolean, green: boolean, percent: number | null) =>
      stateWith({ a: blue, b: blue, c: blue, d: green, e: green, f: green }, { split: percent === null ? null : { to: to('d', 'e', 'f'), percent } });
    const course = [colours(true, false, null), colours(true, true, 1), colours(true, true, 50), colours(true, true, 100), colours(false, true, null)];
    expect(new Set(course.map((state) => generationOf(state))).size).toBe(1);
  });

  test('pools of the generation before are served on, and do not make it another generation', () => {
    const state = stateWith({ a: true });
    const retired = poolsOf('/h/var/lib/shop/fairlead/router/nginx', stateWith({ x: true }));
    const config = renderConfig('/h', state, null, settings, retired);
    expect(config.generation).toBe(generationOf(state));
    expect(config.main).toContain(`listen unix:${retired[0]?.socket};`);
  });

  test('locations are written from the routes, with the declared name of the upstream', () => {
    const { main, locations } = renderConfig('/h', stateWith({ a: true }), null, settings);
    expect(locations).toBe('location /api/ {\n    proxy_pass http://shop_api;\n}\n');
    expect(main).toContain('upstream shop_api {');
    expect(main).toContain('listen 127.0.0.1:8080 ');
    expect(main).not.toContain('@GENERATION@');
  });

  test('a newer nginx keeps the connections of clients through a reload by itself', () => {
    expect(renderConfig('/h', stateWith({ a: true }), null, settings).main).not.toContain('keepalive_min_timeout');
    expect(renderConfig('/h', stateWith({ a: true }), null, { ...settings, version: [1, 28, 0] }).main).toContain('keepalive_min_timeout 10s;');
  });

  test('command lines', () => {
    expect(testCommand('nginx', '/d', '/d/generations/g/nginx.conf')).toEqual(['nginx', '-t', '-q', '-p', '/d/', '-e', '/d/error.log', '-c', '/d/generations/g/nginx.conf']);
    expect(startCommand('nginx', '/d')).toEqual(['nginx', '-p', '/d/', '-e', '/d/error.log', '-c', '/d/nginx.conf']);
  });
});

describe('nginx: what it says', () => {
  test('version, status, titles', () => {
    expect(parseVersion('nginx version: nginx/1.22.1\n')).toEqual([1, 22, 1]);
    expect(parseVersion('nginx version: openresty/1.25.3.1')).toEqual([0, 0, 0]);
    expect(parseStatus('abc 12\n')).toEqual({ generation: 'abc', pid: 12 });
    expect(parseStatus('<html>')).toBeNull();
    expect(parseTitle('nginx: master process nginx -c x')).toBe('master');
    expect(parseTitle('nginx: worker process')).toBe('worker');
    expect(parseTitle('nginx: worker process is shutting down')).toBe('leaving');
    expect(parseTitle('vim nginx: master process')).toBeNull();
  });

  test('errors without time and process, each once', () => {
    const text = '2026/11/21 09:00:00 [emerg] 12#12: bind() to 127.0.0.1:80 failed (98: Address already in use)\nnginx: [emerg] bind() to 127.0.0.1:80 failed (98: Address already in use)\n2026/11/21 09:00:00 [notice] 12#12: signal\n';
    expect(parseErrors(text)).toEqual(['bind() to 127.0.0.1:80 failed (98: Address already in use)']);
  });

  test('a user without rights, with the name of its group', () => {
    expect(parseWorkerUser('root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n', 'root:x:0:\nnogroup:x:65534:\n')).toEqual({ user: 'nobody', group: 'nogroup', userId: 65534 });
    expect(parseWorkerUser('root:x:0:0::/:/bin/sh\n', 'root:x:0:\n')).toBeNull();
  });

  test.each([
    ['one instance', '1763730884.123|3fa9c1aa|127.0.0.1:4001|200|0.012|200', [{ port: 4001, failed: false, ms: 12 }]],
    ['a second one after the first was dead', '1763730884.123|3fa9c1aa|127.0.0.1:4001, 127.0.0.1:4002|502, 201|0.001, 0.003|201', [{ port: 4001, failed: true, ms: 1 }, { port: 4002, failed: false, ms: 3 }]],
    ['an error of the instance', '1763730884.123|3fa9c1aa|127.0.0.1:4001|500|0.002|500', [{ port: 4001, failed: true, ms: 2 }]],
    ['a client that left', '1763730884.123|3fa9c1aa|127.0.0.1:4001|-|1.500|499', [{ port: 4001, failed: false, ms: 1500 }]],
    ['nobody taken for alive', '1763730884.123|3fa9c1aa|pool_3fa9|502|0.000|502', [{ port: null, failed: true, ms: 0 }]],
  ])('a line of the log of requests: %s', (_what, line, attempts) => {
    expect(parseTrafficLine(line)).toEqual({ at: 1_763_730_884_123, pool: '3fa9c1aa', attempts });
  });

  test.each([
    ['a WebSocket', '1763730884.123|3fa9c1aa|127.0.0.1:4001|101|99.000|101'],
    ['an upload that its client gave up', '1763730884.123|3fa9c1aa|-|-|-|400'],
    ['the head of the file', '#1763730884123'],
    ['half a line', '1763730884.123|3fa9c1aa|127.0'],
    ['nothing', ''],
  ])('a line that counts for no instance: %s', (_what, line) => {
    expect(parseTrafficLine(line)).toBeNull();
  });
});

test('nginx: which modules it has, and where a configuration listens', () => {
  const said = 'nginx version: nginx/1.22.1\nbuilt with OpenSSL\nconfigure arguments: --with-http_ssl_module --with-http_v2_module --with-http_v3_module_not';
  expect([parseModules(said), parseModules('configure arguments: --with-http_v2_module_x')]).toEqual([{ tls: true, http2: true }, { tls: false, http2: false }]);
  expect(parseListens('listen 127.0.0.1:80 backlog=1;\n  listen [::]:443 ssl;\n listen *:443 ssl;\n listen unix:pool-1.sock;\n # listen 1.1.1.1:9;')).toEqual([80, 443]);
});
