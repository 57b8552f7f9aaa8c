import { createHash } from 'node:crypto';
import { hostLayout } from '../../../domain/host/layout.ts';
import type { ProductName } from '../../../domain/ids.ts';
import type { RouterState } from '../../../ports/router.ts';

/**
 * Where nginx lives on a host. Every generation of the configuration has a directory of its own; `nginx.conf` is a symlink to the one in
 * force, which is what the master reads again at a reload.
 */
export function nginxFiles(root: string, product: ProductName) {
  const directory = `${hostLayout(root, product).routerDir}/nginx`;
  return {
    directory,
    active: `${directory}/nginx.conf`,
    generations: `${directory}/generations`,
    generation: (name: string) => `${directory}/generations/${name}`,
    errorLog: `${directory}/error.log`,
    // Sockets are named relative to the working directory: the path of a socket is limited to 107 bytes (unix(7)).
    statusSocket: `${directory}/${statusSocketName}`,
    unavailableSocket: `${directory}/${unavailableSocketName}`,
  };
}

const statusSocketName = 'status.sock';
const unavailableSocketName = 'unavailable.sock';

export interface NginxSettings {
  readonly listenAddress: string;
  /** Unprivileged user and group of the workers; null where nginx is not started by root. */
  readonly workerUser: { readonly user: string; readonly group: string } | null;
  /** From `nginx -v`, to use what newer versions can do. */
  readonly version: readonly [number, number, number];
}

export interface NginxConfig {
  /** Digest of both texts. */
  readonly generation: string;
  readonly main: string;
  readonly locations: string;
}

/**
 * Pure: the configuration for a state.
 * @param include text of the declared include; null has the locations written from the routes.
 */
export function renderConfig(root: string, state: RouterState, include: string | null, settings: NginxSettings): NginxConfig {
  const locations = include ?? renderLocations(state);
  const template = renderMain(root, state, settings);
  const generation = createHash('sha256').update(template).update('\0').update(locations).digest('hex').slice(0, 16);
  return { generation, main: template.replaceAll('@GENERATION@', generation), locations };
}

/** One `location` for each route; nginx takes the longest prefix that fits. */
export function renderLocations(state: RouterState): string {
  return state.declaration.routes.map(({ path, service }) => `location ${quote(path)} {\n    proxy_pass http://${upstreamName(state, service)};\n}\n`).join('\n');
}

function renderMain(root: string, state: RouterState, { listenAddress, workerUser, version }: NginxSettings): string {
  const files = nginxFiles(root, state.product);
  // nginx 1.27.4 and newer keep idle connections of clients through a reload for so long, so that none is closed under a request.
  const keepsClients = isAtLeast(version, [1, 27, 4]);
  return `# Written by Fairlead for ${state.product}, generation @GENERATION@. Changes made here are lost with the next one.
${workerUser === null ? '' : `user ${workerUser.user} ${workerUser.group};\n`}worker_processes auto;
worker_rlimit_nofile 16384;
pid ${quote(`${files.directory}/nginx.pid`)};
error_log ${quote(files.errorLog)} notice;
# Workers of an older generation end what is under way (downloads, WebSockets), but do not stay for ever.
worker_shutdown_timeout 3600s;

events {
    worker_connections 4096;
}

http {
    access_log off;
    server_tokens off;
    # Workers may not be able to walk the path from the root; their own working directory they always can.
    client_body_temp_path /proc/self/cwd/temp/body;
    proxy_temp_path /proc/self/cwd/temp/proxy;
    fastcgi_temp_path /proc/self/cwd/temp/fastcgi;
    uwsgi_temp_path /proc/self/cwd/temp/uwsgi;
    scgi_temp_path /proc/self/cwd/temp/scgi;

    keepalive_timeout 75s;
    keepalive_requests 100000;
${keepsClients ? '    keepalive_min_timeout 10s;\n' : ''}    # What a client may send is for the product to say, in its include.
    client_max_body_size 0;

    map $http_upgrade $fairlead_connection {
        default upgrade;
        '' close;
    }

${upstreamsOf(state).join('\n')}
    server {
        listen ${listenAddress}:${state.port} backlog=1024;
        server_name _;
        # Nowhere: a path that no location knows is answered with 404, not with a file.
        root /proc/self/cwd/none;

        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        # Each request has a connection of its own to the instance. A kept one may be closed by the instance in the moment in which a request
        # is written to it, and nginx repeats only idempotent requests; and so every connection that is open is a request in flight.
        proxy_set_header Connection $fairlead_connection;
        proxy_connect_timeout 2s;
        proxy_read_timeout 300s;
        proxy_send_timeout 300s;
        proxy_next_upstream error timeout;
        proxy_next_upstream_timeout 10s;

        include ${quote(`${files.generation('@GENERATION@')}/locations.conf`)};
    }

    # Which generation answers. Only whoever may enter this directory can ask.
    server {
        listen unix:${statusSocketName};
        location / {
            default_type text/plain;
            return 200 "@GENERATION@ $pid";
        }
    }

    # Takes the place of a service that nobody serves right now.
    server {
        listen unix:${unavailableSocketName};
        default_type application/problem+json;
        add_header Retry-After 1 always;
        location / {
            return 503 '{"type":"about:blank","title":"no instance takes requests right now","status":503,"code":"no_instance"}';
        }
    }
}
`;
}

function upstreamsOf(state: RouterState): string[] {
  const services = [...new Set([...state.declaration.routes.map(({ service }) => service), ...state.members.map(({ service }) => service)])];
  return services.map((service) => {
    const members = state.members.filter((member) => member.service === service);
    const lines = members.map(({ instance, port, admitted }) => (admitted ? `        server 127.0.0.1:${port} max_fails=1 fail_timeout=2s; # ${instance}` : `        # ${instance} on port ${port} gets no requests`));
    if (!members.some((member) => member.admitted)) lines.push(`        server unix:${unavailableSocketName};`);
    return `    upstream ${upstreamName(state, service)} {\n${lines.join('\n')}\n    }\n`;
  });
}

/** Services that no route names have an upstream as well, for includes that know it. */
function upstreamName(state: RouterState, service: string): string {
  return state.declaration.nginx.upstreams[service] ?? `${state.product}_${service}`.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

/** A parameter of nginx's configuration, whatever it holds. `$` cannot be escaped there and is refused by `nginx -t` where it matters. */
const quote = (text: string) => (/^[\w/.@:+-]+$/.test(text) ? text : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);

const isAtLeast = (version: NginxSettings['version'], wanted: NginxSettings['version']) => {
  for (const [index, part] of wanted.entries()) if (version[index] !== part) return (version[index] ?? 0) > part;
  return true;
};

/** argv of `nginx -t` on a configuration. The working directory has to be `directory`. */
export function testCommand(nginxPath: string, directory: string, configFile: string): string[] {
  return [nginxPath, '-t', '-q', '-p', `${directory}/`, '-e', `${directory}/error.log`, '-c', configFile];
}

/** argv that starts nginx as a daemon. The working directory has to be `directory`: it is what its processes are found by. */
export function startCommand(nginxPath: string, directory: string): string[] {
  return [nginxPath, '-p', `${directory}/`, '-e', `${directory}/error.log`, '-c', `${directory}/nginx.conf`];
}

/** One word of POSIX sh, whatever it holds. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Lines that write the configuration, test it, and have nginx load it, or start it where none runs. */
export function recoveryLines(root: string, state: RouterState, config: NginxConfig, nginxPath: string): string[] {
  const files = nginxFiles(root, state.product);
  const q = shellQuote;
  const write = (file: string, text: string) => `printf '%s' ${q(text)} >${q(file)}`;
  const generation = files.generation(config.generation);
  return [
    `# The router (nginx): port ${state.port}, to ${state.members.filter((member) => member.admitted).map((member) => member.instance).join(', ') || 'nobody'}.`,
    `mkdir -p ${q(generation)} ${q(`${files.directory}/temp`)} && chmod 711 ${q(files.directory)} ${q(`${files.directory}/temp`)}`,
    write(`${generation}/nginx.conf`, config.main),
    write(`${generation}/locations.conf`, config.locations),
    `if ( cd ${q(files.directory)} && ${testCommand(nginxPath, files.directory, `${generation}/nginx.conf`).map(q).join(' ')} ); then`,
    `  ln -s ${q(`generations/${config.generation}/nginx.conf`)} ${q(`${files.active}.recovery`)} && mv -f ${q(`${files.active}.recovery`)} ${q(files.active)}`,
    "  fairlead_nginx=''",
    '  for fairlead_dir in /proc/[0-9]*; do',
    `    if [ "$(readlink "$fairlead_dir/cwd" 2>/dev/null)" = ${q(files.directory)} ] && grep -q 'nginx: master' "$fairlead_dir/cmdline" 2>/dev/null; then fairlead_nginx=\${fairlead_dir#/proc/}; fi`,
    '  done',
    '  if [ -n "$fairlead_nginx" ]; then kill -s HUP "$fairlead_nginx"; else',
    `    rm -f ${q(files.statusSocket)} ${q(files.unavailableSocket)}`,
    `    ( cd ${q(files.directory)} && ${startCommand(nginxPath, files.directory).map(q).join(' ')} )`,
    '  fi',
    `else echo 'the configuration of the router was refused by nginx; the one before is still in force' >&2; fi`,
  ];
}
