import { manifestError, parseManifest, renderProblems } from '../../../../src/adapters/manifest/parse.ts';
import { instancesOf, type ProductManifest } from '../../../../src/domain/product/manifest.ts';

const small = `schema: 1
product: demo
releaseId: r1
services:
  api: {command: [node, api.mjs], instances: {installed: [a]}, ports: {a: 4100}, probes: {ready: ready}}
probes:
  ready: {service: api}
`;

/** Everything that can be said. */
const full = `schema: 1
product: noderax-platform
releaseId: "2026.11.1+build.7"
platformVersion: 1.4
artifact: {role: node, profile: node-runtime}
initialPhase: installed
services:
  api:
    command: [node, server.mjs, --port, 3000]
    instances: {setup: [setup], installed: [a, b]}
    ports: {setup: 4100, a: 4101, b: 4102}
    env: {LOG_JSON: true, WORKERS: 3, NAME: api}
    stop: {signal: SIGINT, seconds: 7}
    drainSeconds: 11
    startSeconds: 22
    reloadSignal: SIGHUP
    order: 5
    probes: {live: api-live, ready: api-ready, detailed: api-detailed}
  web:
    command: [bin/web]
    instances: {setup: [a], installed: [a]}
    ports: {a: 4200}
    probes: {ready: web-ready}
probes:
  api-live: {service: api, path: /health/live}
  api-ready: {service: api, path: /health/ready, status: 204, releaseIdField: releaseId, timeoutSeconds: 2.5}
  api-detailed: {service: api, path: /health/detailed, body: '"ok":true'}
  web-ready: {service: web}
  web-route: {router: true, path: /}
health: {setup: [web-route], installed: [api-ready, web-route]}
router:
  listen: 8080
  routes: {/api/: api, /: web}
  nginx: {include: nginx/locations.conf, upstreams: {api: noderax_api}}
hooks:
  preflight: {command: [bin/preflight], timeoutSeconds: 5}
  backup: {command: [bin/backup]}
  migrate: {command: [bin/migrate, "{state}"]}
  restore: {command: [bin/restore]}
backup: {paths: ["{state}/data"]}
data: {schemaGeneration: 4, readsFrom: 3, onRollback: restore}
updateFrom: {releases: ["2026.10.1"]}
certificates: {names: [App.example.test], listen: [443, 8443], redirect: true, hsts: {includeSubDomains: true}}
retention: {releases: 5, backups: 2}
bakeSeconds: 0.5
`;

function parsed(text: string): ProductManifest {
  const result = parseManifest(text, 'fairlead.yaml');
  if (!result.ok) throw manifestError(result.problems, 'fairlead.yaml');
  return result.manifest;
}

test('everything said: all of it is read, numbers and booleans become texts where texts are meant', () => {
  expect(parsed(full)).toMatchObject({
    product: 'noderax-platform',
    releaseId: '2026.11.1+build.7',
    platformVersion: '1.4',
    artifact: { role: 'node', profile: 'node-runtime' },
    initialPhase: 'installed',
    services: [
      {
        name: 'api',
        command: ['node', 'server.mjs', '--port', '3000'],
        instances: { setup: ['setup'], installed: ['a', 'b'] },
        env: { LOG_JSON: 'true', WORKERS: '3', NAME: 'api' },
        stopSignal: 'SIGINT',
        stopSeconds: 7,
        drainSeconds: 11,
        startSeconds: 22,
        reloadSignal: 'SIGHUP',
        order: 5,
        probes: { live: 'api-live', ready: 'api-ready', detailed: 'api-detailed' },
      },
      { name: 'web', order: 20 },
    ],
    probes: {
      'api-ready': { name: 'api-ready', target: { service: 'api' }, path: '/health/ready', expectStatus: 204, releaseIdField: 'releaseId', expectBody: null, timeoutSeconds: 2.5 },
      'web-route': { target: 'router', expectStatus: 200, releaseIdField: null },
    },
    health: { setup: ['web-route'], installed: ['api-ready', 'web-route'] },
    router: { listen: 8080, routes: [{ path: '/api/', service: 'api' }, { path: '/', service: 'web' }], nginx: { include: 'nginx/locations.conf', upstreams: { api: 'noderax_api', web: 'noderax_platform_web' } } },
    hooks: { preflight: { command: ['bin/preflight'], timeoutSeconds: 5 }, migrate: { command: ['bin/migrate', '{state}'], timeoutSeconds: 300 } },
    backupPaths: ['{state}/data'],
    data: { schemaGeneration: 4, readsFrom: 3, onRollback: 'restore' },
    updateFrom: { releases: ['2026.10.1'] },
    certificates: { names: ['app.example.test'], ports: [443, 8443], redirect: true, hsts: { maxAgeSeconds: 31_536_000, includeSubDomains: true, preload: false } },
    retention: { releases: 5, backups: 2 },
    bakeSeconds: 0.5,
  });
  expect(instancesOf(parsed(full), 'installed').map(({ name, port }) => [name, port])).toEqual([['api-a', 4101], ['api-b', 4102], ['web-a', 4200]]);
});

test('the least said: every default', () => {
  const { services, probes, ...rest } = parsed(small);
  expect(rest).toEqual({
    schema: 1,
    product: 'demo',
    releaseId: 'r1',
    platformVersion: 'r1',
    artifact: { role: 'controller', profile: 'default' },
    initialPhase: 'installed',
    health: { setup: [], installed: ['ready'] },
    router: null,
    hooks: {},
    backupPaths: [],
    data: { schemaGeneration: 1, readsFrom: 1, onRollback: 'keep' },
    updateFrom: null,
    setup: null,
    canary: { tiers: [1, 10, 50], holdSeconds: 60, minRequests: 20, dataWaitSeconds: 1_800, maxErrorRate: 0.01, maxLatencyRatio: 2, metric: null },
    keepWarmSeconds: 30,
    certificates: null,
    retention: { releases: 3, backups: 3 },
    bakeSeconds: 10,
  });
  expect(services).toEqual([
    {
      name: 'api',
      command: ['node', 'api.mjs'],
      instances: { setup: [], installed: ['a'] },
      ports: { a: 4100 },
      env: {},
      stopSignal: 'SIGTERM',
      stopSeconds: 10,
      drainSeconds: 30,
      startSeconds: 60,
      reloadSignal: null,
      order: 10,
      probes: { live: 'ready', ready: 'ready' },
    },
  ]);
  expect(probes).toEqual({ ready: { name: 'ready', target: { service: 'api' }, path: '/', expectStatus: 200, releaseIdField: null, expectBody: null, timeoutSeconds: 5 } });
});

test('a manifest with many faults: every one at once, each with its line and column, in the order of the text', () => {
  const broken = `schema: 2
product: Demo
services:
  api:
    comand: [node]
    instances: {setup: [setup], installed: [a, b]}
    ports: {setup: 4100, a: 99999, d: 4103}
    env: {1A: x}
    probes: {live: api-liv, ready: web-ready}
    stop: {signal: SIGKILL}
  web:
    command: [node]
    instances: {installed: [a]}
    ports: {a: 4100}
    probes: {ready: web-ready}
probes:
  api-live: {servce: api, path: health}
  web-ready: {service: wbe}
  route: {router: true}
health: {installed: [web-raedy]}
data: {readsFrom: 9, onRollback: restore}
backup: {paths: []}
hooks: {migrate: {command: []}}
bakeSeconds: ten
`;
  const result = parseManifest(broken, 'fairlead.yaml');
  if (result.ok) throw new Error('accepted');
  expect(result.problems.map(({ line, column, path }) => `${line}:${column} ${path}`)).toEqual([
    '1:1 releaseId',
    '1:9 schema',
    '2:10 product',
    '4:3 services.api.command',
    '5:5 services.api.comand',
    '6:48 services.api.instances.installed.1',
    '7:29 services.api.ports.a',
    '7:36 services.api.ports.d',
    '8:11 services.api.env.1A',
    '9:20 services.api.probes.live',
    '9:36 services.api.probes.ready',
    '10:20 services.api.stop.signal',
    '14:16 services.web.ports.a',
    '15:21 services.web.probes.ready',
    '17:3 probes.api-live',
    '17:14 probes.api-live.servce',
    '17:33 probes.api-live.path',
    '18:24 probes.web-ready.service',
    '19:19 probes.route.router',
    '20:22 health.installed.0',
    '21:19 data.readsFrom',
    '21:34 data.onRollback',
    '23:19 hooks.migrate.command',
    '24:14 bakeSeconds',
  ]);
  const text = renderProblems(result.problems, 'fairlead.yaml');
  for (const line of [
    'fairlead.yaml:5:5: services.api.comand is not known. Did you mean command?',
    'fairlead.yaml:9:20: services.api.probes.live is api-liv, which is no probe. Did you mean api-live?',
    'fairlead.yaml:17:14: probes.api-live.servce is not known. Did you mean service?',
    'fairlead.yaml:18:24: probes.web-ready.service is wbe, which is no service. Did you mean web?',
    'fairlead.yaml:20:22: health.installed names web-raedy, which is no probe. Did you mean web-ready?',
    'fairlead.yaml:10:20: services.api.stop.signal must be SIGTERM, SIGINT or SIGQUIT, not "SIGKILL".',
    'fairlead.yaml:24:14: bakeSeconds must be seconds, from 0 to 86400, not "ten".',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(manifestError(result.problems, 'fairlead.yaml').reason).toMatchObject({ class: 'release', code: 'manifest_invalid', message: expect.stringContaining('24 problems') });
});

test.each<[string, string, RegExp]>([
  ['YAML that is broken', 'schema: [1\n', /:1:|:2:/],
  ['a key twice', `${small}bakeSeconds: 1\nbakeSeconds: 2\n`, /:9:1: .*unique/],
  ['not a map', '- a\n- b\n', /must be a map/],
  ['nothing', '', /must be a map/],
  ['aliases that multiply', `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(30)}]\nc: &c [${'*b,'.repeat(30)}]\n`, /alias/i],
  ['a tag of its own', small.replace('product: demo', 'product: !secret demo'), /:2:10: .*tag/i],
  ['a second document', `${small}---\nschema: 1\n`, /document/i],
  ['an instance whose full name another service has', small.replace('  api:', '  api-a: {command: [x], instances: {installed: [b]}, ports: {b: 1}, probes: {ready: r2}}\n  api:').replace('installed: [a]}, ports: {a: 4100}', 'installed: [a, a-b]}, ports: {a: 4100, a-b: 4101}') + '  r2: {service: api-a}\n', /api-a-b is declared by services api-a and api/],
  ['an instance twice', small.replace('[a]', '[a, a]'), /names a twice/],
  ['a service without instances', small.replace('installed: [a]', 'installed: []'), /no instance in any phase/],
  ["a router on an instance's port", `${small}router: {listen: 4100, routes: {/: api}}\n`, /router.listen is port 4100, which services.api.ports.a has already/],
  ['a route to no service', `${small}router: {listen: 80, routes: {/: apl}}\n`, /:8:34: .*Did you mean api\?/],
  ['a route without a slash', `${small}router: {listen: 80, routes: {api: api}}\n`, /begins with \//],
  ['an upstream of no routed service', `${small}router: {listen: 80, routes: {/: api}, nginx: {upstreams: {web: x}}}\n`, /names no routed service/],
  ['certificates without a router', `${small}certificates: {}\n`, /:8:1: certificates are served by the router, and none is declared/],
  ['a certificate for an address', `${small}router: {listen: 80, routes: {/: api}}\ncertificates: {names: [192.0.2.7]}\n`, /:9:24: .*is an address/],
  ['a name twice', `${small}router: {listen: 80, routes: {/: api}}\ncertificates: {names: [a.example.org, A.example.org]}\n`, /has A.example.org twice/],
  ['TLS on the port of plain HTTP', `${small}router: {listen: 8080, routes: {/: api}}\ncertificates: {listen: [443, 8080]}\n`, /certificates.listen.1 is port 8080, which router.listen has already/],
  ['TLS on no port', `${small}router: {listen: 80, routes: {/: api}}\ncertificates: {listen: tls}\n`, /a port or a list of ports/],
  ['a preload that browsers would refuse', `${small}router: {listen: 80, routes: {/: api}}\ncertificates: {hsts: {preload: true}}\n`, /preload needs includeSubDomains/],
  ['HSTS beside plain HTTP', `${small}router: {listen: 80, routes: {/: api}}\ncertificates: {redirect: false, hsts: {}}\n`, /never to use plain HTTP/],
  ['an include outside the bundle', `${small}router: {listen: 80, routes: {/: api}, nginx: {include: ../x}}\n`, /relative path in the bundle/],
  ['a migration without a word on rollback', `${small}hooks: {migrate: {command: [x]}}\n`, /must say data.onRollback/],
  ['a restore of nothing', `${small}data: {onRollback: restore}\n`, /nothing is backed up/],
  ['a backup that nothing restores', `${small}hooks: {backup: {command: [x]}}\ndata: {onRollback: restore}\n`, /no hooks.restore/],
  ['a backup path that climbs', `${small}backup: {paths: ["{state}/../../etc"]}\n`, /must begin with/],
  ['health of a service that does not run in the phase', `${small}health: {setup: [ready]}\n`, /no instance in phase setup/],
  ['artifact and roles', `${small}artifact: {role: node}\nroles: {node: {}}\n`, /artifact and roles/],
  ['a probe that asks two', small.replace('{service: api}', '{service: api, router: true}'), /asks one of them/],
  ['a release id that YAML reads as a number', small.replace('releaseId: r1', 'releaseId: 1.0'), /releaseId must be a release id in quotes, not 1/],
  ['a NUL byte in the environment', small.replace('probes: {ready: ready}}', 'env: {A: "a\\0b"}, probes: {ready: ready}}'), /NUL/],
])('%s: refused, and it is said where', (_fault, text, expected) => {
  const result = parseManifest(text, 'fairlead.yaml');
  if (result.ok) throw new Error('accepted');
  expect(renderProblems(result.problems, 'fairlead.yaml')).toMatch(expected);
});

test('a source with roles stands for the first; replaced keys stand for the text', () => {
  const source = `${small}roles: {node: {profile: lean}, controller: {}}\n`;
  expect(parsed(source).artifact).toEqual({ role: 'node', profile: 'lean' });
  const replaced = parseManifest(small.replace('releaseId: r1\n', ''), 'fairlead.yaml', { releaseId: 'r9' });
  expect(replaced).toMatchObject({ ok: true, manifest: { releaseId: 'r9' } });
});

describe('a source whose roles say things for themselves', () => {
  const source = `${small}roles:
  controller: {profile: full}
  node:
    files: [agent.mjs]
    services: {agent: {command: [agent.mjs], instances: {installed: [main]}, ports: {main: 4200}, probes: {ready: agent-ready}}}
    probes: {agent-ready: {service: agent}}
`;
  const of = (text: string, role: 'controller' | 'node') => parseManifest(text, 'fairlead.yaml', {}, role);

  test("each role has its own services and health, and the other one's are not there", () => {
    const [controller, node] = [of(source, 'controller'), of(source, 'node')];
    if (!controller.ok || !node.ok) throw new Error('refused');
    expect([controller.manifest.artifact, controller.manifest.services.map(({ name }) => name), controller.manifest.health.installed]).toEqual([{ role: 'controller', profile: 'full' }, ['api'], ['ready']]);
    expect([node.manifest.artifact, node.manifest.services.map(({ name }) => name), node.manifest.health.installed]).toEqual([{ role: 'node', profile: 'default' }, ['agent'], ['agent-ready']]);
  });
  test('a fault in the section of one role is told at its place, whichever role is asked for; one in a shared section is told once', () => {
    const broken = source.replace('main: 4200', 'main: 0').replace('ports: {a: 4100}', 'ports: {a: -1}');
    for (const role of ['controller', 'node'] as const) {
      const result = of(broken, role);
      if (result.ok) throw new Error('accepted');
      expect(result.problems.map(({ path, line }) => [path, line])).toEqual([['services.api.ports.a', 5], ['roles.node.services.agent.ports.main', 12]]);
    }
  });
  test.each([
    ['a key that no role may say', 'files: [agent.mjs]', 'product: other', /roles.node.product is not known/],
    ['a file outside of the directory', '[agent.mjs]', '[../agent.mjs]', /roles.node.files.0 must be a relative path/],
    ['a misspelt key', 'files: [', 'fles: [', /roles.node.fles is not known. Did you mean files\?/],
  ])('%s: refused', (_fault, from, to, expected) => {
    const result = of(source.replace(from, to), 'controller');
    if (result.ok) throw new Error('accepted');
    expect(renderProblems(result.problems, 'fairlead.yaml')).toMatch(expected);
  });
});
