/** Pure: the version that `nginx -v` prints on stderr, as three numbers; zeros where there is none. */
export function parseVersion(text: string): [number, number, number] {
  const match = /nginx(?:\/|\sversion:\snginx\/)(\d+)\.(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)];
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
export function parseWorkerUser(passwd: string, group: string): { user: string; group: string } | null {
  const users = new Map(passwd.split('\n').map((line) => line.split(':')).map((fields) => [fields[0] ?? '', fields[3] ?? '']));
  const groups = new Map(group.split('\n').map((line) => line.split(':')).map((fields) => [fields[2] ?? '', fields[0] ?? '']));
  for (const user of ['www-data', 'nginx', 'http', 'nobody']) {
    const name = groups.get(users.get(user) ?? '');
    if (name !== undefined && name !== '') return { user, group: name };
  }
  return null;
}
