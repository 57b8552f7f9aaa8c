import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { findByEnvironment, findByWorkingDirectory } from '../../src/adapters/process/proc.ts';
import { createEmbeddedRouter } from '../../src/adapters/router/embedded/index.ts';
import { createNginxRouter } from '../../src/adapters/router/nginx/index.ts';
import type { InstanceName, ProductName, ServiceName } from '../../src/domain/ids.ts';
import type { Router, RouterMember, RouterState } from '../../src/ports/router.ts';
import { createHostRoot, freePort } from './host-root.ts';
import { program, type Requirement } from './requirement.ts';

export const product = 'shop' as ProductName;
export const repository = join(import.meta.dirname, '../..');
export const routerEntry = [process.execPath, join(repository, 'src/adapters/router/embedded/router-process.ts')];

export interface RouterKind {
  readonly name: Router['kind'];
  readonly requires: readonly Requirement[];
  create(root: string): Router;
  /** The processes of the router. */
  find(root: string): Promise<{ pid: number; startTicks: string }[]>;
}

export const routerKinds: readonly RouterKind[] = [
  {
    name: 'embedded',
    requires: [],
    create: (root) => createEmbeddedRouter({ root, entry: routerEntry }),
    find: (root) => findByEnvironment({ FAIRLEAD_ROUTER: product, FAIRLEAD_ROOT: root }),
  },
  {
    name: 'nginx',
    requires: [program('nginx')],
    create: (root) => createNginxRouter({ root, commands: createCommandRunner() }),
    find: (root) => findByWorkingDirectory(join(root, 'var/lib', product, 'fairlead/router/nginx')),
  },
];

export interface Upstream {
  readonly name: string;
  port: number;
  process: ChildProcess;
}

/** An instance: `test/bin/upstream.ts`. @param port 0 takes a free one. */
export async function startUpstream(name: string, port = 0): Promise<Upstream> {
  const started = spawn(process.execPath, [join(repository, 'test/bin/upstream.ts'), name], { env: { ...process.env, PORT: String(port) }, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(started.stdout, 'data')) as [Buffer];
  return { name, port: Number(line.toString()), process: started };
}

/** A host with a router that does not run yet and instances that do, named `<service>-<something>`; requests below `/api/` go to `api`, others to `web`. */
export async function createRouterBed(kind: RouterKind, names: readonly string[]) {
  const host = await createHostRoot();
  const port = await freePort();
  const upstreams = await Promise.all(names.map((name) => startUpstream(name)));
  await mkdir(join(host.root, 'release'), { recursive: true });
  return {
    root: host.root,
    port,
    upstreams,
    router: kind.create(host.root),
    url: (path: string) => `http://127.0.0.1:${port}${path}`,
    stateWith: (admitted: readonly string[], change: Partial<RouterState> = {}): RouterState => ({
      split: null,
      product,
      declaration: {
        listen: port,
        routes: [
          { path: '/api/', service: 'api' as ServiceName },
          { path: '/', service: 'web' as ServiceName },
        ],
        nginx: { include: null, upstreams: { api: 'shop_api', web: 'shop_web' } },
      },
      port,
      releaseDir: join(host.root, 'release'),
      members: upstreams.map(
        (upstream): RouterMember => ({ service: upstream.name.split('-')[0] as ServiceName, instance: upstream.name as InstanceName, port: upstream.port, admitted: admitted.includes(upstream.name) }),
      ),
      ...change,
    }),
    async end(): Promise<void> {
      for (const upstream of upstreams) upstream.process.kill('SIGKILL');
      await host.end();
    },
  };
}
