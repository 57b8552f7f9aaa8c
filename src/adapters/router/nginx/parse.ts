/** Pure: the version that `nginx -v` prints on stderr, as three numbers; zeros where there is none. */
export function parseVersion(text: string): [number, number, number] {
  const match = /nginx(?:\/|\sversion:\snginx\/)(\d+)\.(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)];
}

/** Pure: the modules that matter here, from what `nginx -V` prints on stderr. */
export function parseModules(text: string): { tls: boolean; http2: boolean } {
  return { tls: /--with-http_ssl_module\b/.test(text), http2: /--with-http_v2_module\b/.test(text) };
}

/** Pure: the TCP ports that a configuration listens on. */
export function parseListens(text: string): number[] {
  return [...new Set([...text.matchAll(/^\s*listen (?!unix:)\S*?:(\d+)\b/gm)].map((match) => Number(match[1])))];
}

/** Pure: what the status socket answers: the generation, and which worker said so. */
export function parseStatus(body: string): { generation: string; pid: number } | null {
  const match = /^(\S+) (\d+)$/.exec(body.trim());
  return match?.[1] === undefined ? null : { generation: match[1], pid: Number(match[2]) };
}

/** Pure: the messages of nginx that say why something failed, without time and process. */
export function parseErrors(text: string): string[] {
  const messages = text.split('\n').flatMap((line) => {
    const match = /\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(.*)$/.exec(line);
    return match?.[1] === undefined ? [] : [match[1].trim()];
  });
  return [...new Set(messages)];
}

/** What a process of nginx calls itself (`ps` shows it). */
export function parseTitle(commandLine: string): 'master' | 'worker' | 'leaving' | null {
  if (/^nginx: master process/.test(commandLine)) return 'master';
  if (/^nginx: worker process is shutting down/.test(commandLine)) return 'leaving';
  if (/^nginx: (worker|cache)/.test(commandLine)) return 'worker';
  return null;
}

/** Pure: a user and group that have no rights of their own, from the texts of `/etc/passwd` and `/etc/group`. */
export function parseWorkerUser(passwd: string, group: string): { user: string; group: string; userId: number } | null {
  const users = new Map(passwd.split('\n').map((line) => line.split(':')).map((fields) => [fields[0] ?? '', { userId: Number(fields[2]), groupId: fields[3] ?? '' }]));
  const groups = new Map(group.split('\n').map((line) => line.split(':')).map((fields) => [fields[2] ?? '', fields[0] ?? '']));
  for (const user of ['www-data', 'nginx', 'http', 'nobody']) {
    const found = users.get(user);
    const name = groups.get(found?.groupId ?? '');
    if (found !== undefined && name !== undefined && name !== '') return { user, group: name, userId: found.userId };
  }
  return null;
}

/** One request of the log: the mark of its pool, and what it came to at each instance that it was passed to. */
export interface TrafficLine {
  /** When it ended, in milliseconds since 1970. */
  readonly at: number;
  readonly pool: string;
  /** `port` is null where nginx took none of the pool's members for alive, and asked nobody. */
  readonly attempts: readonly { readonly port: number | null; readonly failed: boolean; readonly ms: number | null }[];
}

/**
 * Pure: a line of the log that `renderMain` declares; null for what counts for no instance: an upgraded connection, and a request that ended
 * before it was passed to anybody. Where a request was passed to several, nginx writes one entry for each, separated by `, ` (ngx_http_upstream_module).
 */
export function parseTrafficLine(line: string): TrafficLine | null {
  const [seconds, pool, addresses = '', statuses = '', times = '', status = ''] = line.split('|');
  const at = Math.round(Number(seconds) * 1000);
  if (!(at > 0) || pool === undefined || status === '' || status === '101' || addresses === '-') return null;
  const entries = (list: string) => (list.includes(' ') ? list.split(/, | : /) : [list]);
  const [answered, took] = [entries(statuses), entries(times)];
  const attempts = entries(addresses).map((address, index) => {
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const own = Number(answered[index]);
    // 499: the client left. That is not the instance's fault; how long it had waited counts.
    const failed = Number.isInteger(own) ? own >= 500 : status !== '499';
    const ms = Number.parseFloat(took[index] ?? '') * 1000;
    return { port: Number.isNaN(port) ? null : port, failed, ms: Number.isNaN(ms) ? null : ms };
  });
  return { at, pool, attempts };
}
