import { createHash } from 'node:crypto';
import type { RouterState } from '../../../ports/router.ts';
import { linkName, nginxFiles, statusSocketName, type NginxFiles } from './layout.ts';
import { renderListeners } from './tls.ts';
import { chosenWays, poolsOf, servicesOf, slotNames, type Pool, type PoolFile, type Way } from './pools.ts';
import { quoteForShell } from '../../../domain/shell-word.ts';

/** Takes the place of a pool where nobody is admitted. */
const unavailableSocketName = 'unavailable.sock';
/** What a service's link says when `way` is in use. */
export const wayTarget = ({ name }: Way): string => `ways/${name}`;
/** What a slot of a way says. */
export const slotTarget = (pool: Pool | null): string => `../../${pool?.socket ?? unavailableSocketName}`;
/** How the log of requests names a pool. */
export const poolMark = ({ socket }: Pool): string => socket.replace(/^pool-/, '').slice(0, 8);
/** In every configuration that keeps a log of requests. */
export const trafficMark = 'fairlead_traffic';

export interface NginxSettings {
  readonly listenAddress: string;
  /** Unprivileged user and group of the workers; null where nginx is not started by root. */
  readonly workerUser: { readonly user: string; readonly group: string; readonly userId: number } | null;
  /** From `nginx -v`, to use what newer versions can do. */
  readonly version: readonly [number, number, number];
  /** Which modules were built into it, from `nginx -V`. */
  readonly http2?: boolean;
  readonly tls?: boolean;
}

export interface NginxConfig {
  /** Digest of everything but `retired`. */
  readonly generation: string;
  readonly main: string;
  readonly locations: string;
  readonly pools: readonly Pool[];
}

/**
 * Pure: the configuration for a state. Who is admitted is not in it, and neither is a split: that is where the symlinks point (`chosenWays`).
 * @param include text of the declared include; null has the locations written from the routes.
 * @param retired pools of the generation before: its workers use them until they have stopped to accept.
 */
export function renderConfig(root: string, state: RouterState, include: string | null, settings: NginxSettings, retired: readonly Pool[] = []): NginxConfig {
  const pools = poolsOf(nginxFiles(root, state.product).directory, state);
  const locations = include ?? renderLocations(state);
  const generation = createHash('sha256').update(renderMain(root, state, settings, pools)).update('\0').update(locations).digest('hex').slice(0, 16);
  const all = [...pools, ...retired.filter((old) => !pools.some(({ socket }) => socket === old.socket))];
  return { generation, main: renderMain(root, state, settings, all).replaceAll('@GENERATION@', generation), locations, pools: all };
}

/** One `location` for each route; nginx takes the longest prefix that fits. */
export function renderLocations(state: RouterState): string {
  return state.declaration.routes.map(({ path, service }) => `location ${quote(path)} {\n    proxy_pass http://${upstreamName(state, service)};\n}\n`).join('\n');
}

/**
 * Two layers in one nginx. The outer one faces clients and knows services only; it reaches each through symlinks to Unix sockets, a hundred
 * of them taken in turn (`Way`). Behind a socket, the inner layer spreads the requests over one set of instances. Letting an instance in or
 * out, or another share of the requests to a new release, is so one rename of a symlink, in force with the next request, and no reload: a reload closes the clients' idle connections, and a POST that was being written to one is lost.
 */
function renderMain(root: string, state: RouterState, settings: NginxSettings, pools: readonly Pool[]): string {
  const { workerUser, version } = settings;
  const files = nginxFiles(root, state.product);
  // nginx 1.27.4 and newer keep idle connections of clients through a reload for so long, so that none is closed under a request.
  const keepsClients = keepsClientsThroughReload(version);
  return `# Written by Fairlead for ${state.product}, generation @GENERATION@. Changes made here are lost with the next one.
${workerUser === null ? '' : `user ${workerUser.user} ${workerUser.group};\n`}worker_processes auto;
worker_rlimit_nofile 32768;
pid ${quote(`${files.directory}/nginx.pid`)};
error_log ${quote(files.errorLog)} notice;
# Workers of an older generation end what is under way (downloads, WebSockets), but do not stay for ever.
worker_shutdown_timeout 3600s;

events {
    worker_connections 8192;
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
    # A client of HTTP/1.0 may send no Host; the inner layer speaks HTTP/1.1 and has to have one.
    map $http_host $fairlead_host {
        default $http_host;
        '' $host;
    }

    # What went through, for as long as somebody looks: only files that Fairlead has made are written to. In two variables, because the one is
    # asked for when a request begins and would be remembered until it ends.
    log_format ${trafficMark} '$msec|$fairlead_pool|$upstream_addr|$upstream_status|$upstream_response_time|$status';
    open_log_file_cache max=8 inactive=120s valid=2s;
    map $msec $fairlead_begun {
        '~^(?<fairlead_begun_period>[0-9]+)[0-9][0-9][.]' $fairlead_begun_period;
        default none;
    }
    map $msec $fairlead_ended {
        '~^(?<fairlead_ended_period>[0-9]+)[0-9][0-9][.]' $fairlead_ended_period;
        default none;
    }

    # The outer layer: what clients see.
${servicesOf(state).map((service) => renderService(upstreamName(state, service), linkName('@GENERATION@', service))).join('\n')}
${renderListeners(state, settings, serverBody(files.generation('@GENERATION@')), quote)}
    # The inner layer: one server for each set of instances.
${pools.map(renderPool).join('\n')}
    # Which generation answers. Only whoever may enter this directory can ask.
    server {
        listen unix:${statusSocketName};
        location / {
            default_type text/plain;
            return 200 "@GENERATION@ $pid";
        }
    }

    # Stands in for a service that nobody serves right now.
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

/** What a server consists of that passes requests of clients on. */
const serverBody = (generation: string): string => `        # Nowhere: a path that no location knows is answered with 404, not with a file.
        root /proc/self/cwd/none;
        set $fairlead_closing '';
        if (-f /proc/self/cwd/closing) {
            set $fairlead_closing close;
        }
        add_header Connection $fairlead_closing always;

        proxy_http_version 1.1;
        proxy_set_header Host $fairlead_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $fairlead_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $fairlead_connection;
        proxy_read_timeout 300s;
        proxy_send_timeout 300s;
        # The inner layer keeps bodies for a second try.
        proxy_request_buffering off;
        proxy_next_upstream off;

        include ${quote(`${generation}/locations.conf`)};
`;

/** The zone has all workers take the slots in one turn: each on its own would need a hundred requests of its own for what one percent means. */
function renderService(name: string, link: string): string {
  return `    upstream ${name} {
        zone out_${name} 256k;
${slotNames.map((slot) => `        server unix:${link}/${slot} max_fails=0;`).join('\n')}
    }
`;
}

/**
 * Each request has a connection of its own to the instance. A kept one may be closed by the instance in the moment in which a request is written to
 * it, and nginx repeats only idempotent requests; and so every connection that is open is a request in flight. Limits of time are the outer layer's.
 */
function renderPool(pool: Pool): string {
  const { socket, service, members } = pool;
  const name = socket.replace(/\.sock$/, '').replaceAll('-', '_');
  return `    # ${service}: ${members.map(({ instance }) => instance).join(', ')}
    upstream ${name} {
        zone ${name} 64k;
${members.map(({ port }) => `        server 127.0.0.1:${port} max_fails=1 fail_timeout=2s;`).join('\n')}
    }
    server {
        listen unix:${socket};
        underscores_in_headers on;
        ignore_invalid_headers off;
        client_header_timeout 24h;
        client_body_timeout 24h;
        send_timeout 24h;
        keepalive_timeout 0;
        set $fairlead_pool ${poolMark(pool)};
        set $fairlead_counting '';
        if (-f /proc/self/cwd/traffic/$fairlead_begun.log) {
            set $fairlead_counting 1;
        }
        root /proc/self/cwd/traffic;
        access_log /proc/self/cwd/traffic/$fairlead_ended.log ${trafficMark} if=$fairlead_counting;
        location / {
            proxy_pass http://${name};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $fairlead_connection;
            proxy_buffering off;
            proxy_connect_timeout 2s;
            proxy_read_timeout 24h;
            proxy_send_timeout 24h;
            proxy_next_upstream error timeout;
            proxy_next_upstream_timeout 10s;
            # For the outer layer to obey.
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
            proxy_pass_header X-Accel-Redirect;
            proxy_pass_header X-Accel-Expires;
            proxy_pass_header X-Accel-Limit-Rate;
            proxy_pass_header X-Accel-Buffering;
            proxy_pass_header X-Accel-Charset;
        }
    }
`;
}

function upstreamName(state: RouterState, service: string): string {
  return state.declaration.nginx.upstreams[service] ?? `${state.product}_${service}`.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

/** Older ones close idle connections of clients at every reload (`keepalive_min_timeout` came with 1.27.4). */
export const keepsClientsThroughReload = (version: NginxSettings['version']) => isAtLeast(version, [1, 27, 4]);

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

/** Lines that write the configuration, test it, and have nginx load it, or start it where none runs. */
export function recoveryLines(root: string, state: RouterState, config: NginxConfig, nginxPath: string): string[] {
  const files = nginxFiles(root, state.product);
  const q = quoteForShell;
  const write = (file: string, text: string) => `printf '%s' ${q(text)} >${q(file)}`;
  const link = (target: string, path: string) => `rm -f ${q(`${path}.recovery`)} && ln -s ${q(target)} ${q(`${path}.recovery`)} && ${replaceLine(`${path}.recovery`, path)}`;
  const generation = files.generation(config.generation);
  return [
    `# The router (nginx): port ${state.port}, to ${state.members.filter((member) => member.admitted).map((member) => member.instance).join(', ') || 'nobody'}.`,
    `mkdir -p ${q(generation)} ${q(`${files.directory}/temp`)} && chmod 711 ${q(files.directory)} ${q(`${files.directory}/temp`)}`,
    write(`${generation}/nginx.conf`, config.main),
    write(`${generation}/locations.conf`, config.locations),
    write(`${generation}/pools.json`, poolFileText(config)),
    `if ( cd ${q(files.directory)} && ${testCommand(nginxPath, files.directory, `${generation}/nginx.conf`).map(q).join(' ')} ); then`,
    ...chosenWays(files.directory, state).flatMap((way) => [...wayLines(files, way), `  ${link(wayTarget(way), files.link(config.generation, way.service))}`]),
    `  ${link(`generations/${config.generation}/nginx.conf`, files.active)}`,
    "  fairlead_nginx=''",
    '  for fairlead_dir in /proc/[0-9]*; do',
    `    if [ "$(readlink "$fairlead_dir/cwd" 2>/dev/null)" = ${q(files.directory)} ] && grep -q 'nginx: master' "$fairlead_dir/cmdline" 2>/dev/null; then fairlead_nginx=\${fairlead_dir#/proc/}; fi`,
    '  done',
    '  if [ -n "$fairlead_nginx" ]; then kill -s HUP "$fairlead_nginx"; else',
    `    rm -rf ${q(files.traffic)}`,
    `    rm -f ${q(`${files.directory}/`)}pool-*.sock ${q(files.statusSocket)} ${q(`${files.directory}/${unavailableSocketName}`)}`,
    `    ( cd ${q(files.directory)} && ${startCommand(nginxPath, files.directory).map(q).join(' ')} )`,
    '  fi',
    `else echo 'the configuration of the router was refused by nginx; the one before is still in force' >&2; fi`,
  ];
}

/** Puts one symlink in place of another. Without `-T`, which an old busybox does not know, a link to a directory would be moved into. */
const replaceLine = (made: string, path: string) => {
  const [from, to] = [quoteForShell(made), quoteForShell(path)];
  return `{ mv -fT ${from} ${to} 2>/dev/null || { rm -f ${to} && mv -f ${from} ${to}; }; }`;
};

/** Lines that make the directory of a way, whole or not at all. */
function wayLines(files: NginxFiles, way: Way): string[] {
  const q = quoteForShell;
  const made = `${files.way(way.name)}.recovery`;
  const bySocket = new Map<string, string[]>();
  way.slots.forEach((pool, number) => bySocket.set(slotTarget(pool), [...(bySocket.get(slotTarget(pool)) ?? []), slotNames[number] as string]));
  return [
    `  if [ ! -d ${q(files.way(way.name))} ]; then`,
    `    rm -rf ${q(made)} && mkdir -p ${q(files.ways)} ${q(made)} && chmod 755 ${q(files.ways)} ${q(made)}`,
    ...[...bySocket].map(([target, slots]) => `    for fairlead_slot in ${slots.join(' ')}; do ln -s ${q(target)} ${q(`${made}/`)}"$fairlead_slot"; done`),
    `    mv ${q(made)} ${q(files.way(way.name))}`,
    '  fi',
  ];
}

export function poolFileText({ pools }: NginxConfig): string {
  return `${JSON.stringify({ schema: 1, pools } satisfies PoolFile, null, 2)}\n`;
}
