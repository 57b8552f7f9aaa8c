import { createHash } from 'node:crypto';
import { completeMark, hostLayout } from '../../../domain/host/layout.ts';
import { quoteForShell } from '../../../domain/shell-word.ts';
import type { InstanceRef, InstanceSpec } from '../../../ports/service-manager.ts';
import { isOwnAgent } from '../own-agent.ts';

/**
 * The text of the two files of an instance, pure (openrc-run(8), supervise-daemon(8)).
 *
 * The init script is what OpenRC sees, and says nothing of a release: OpenRC computes the dependencies of every service anew when one of its scripts
 * changes, and an update shall not cost that. The launch file is what the init script runs, and is of one release.
 */
export interface OpenRcNames {
  /** What `rc-service` calls the instance: one service for each. */
  readonly service: string;
  readonly initScript: string;
  readonly launchFile: string;
  /** `<launch id> <boot id> <pid> <start ticks> <releaseId>`, written by the process itself at each start, before it turns into the program. */
  readonly processNote: string;
  /** `<launch id> <exit status of sh>`, written when the process has ended. */
  readonly exitNote: string;
  /** There while the instance is meant to be down: its end is then no failure, and it is not started anew. */
  readonly stopMark: string;
}

/**
 * On a real host `/etc/init.d/<product>-<instance>`, for example `bloom-runtime-a`. Hosts in directories of their own share the machine's OpenRC, so that
 * theirs begin with a hash of the directory.
 */
export function openRcNames(root: string, initDir: string, ref: Pick<InstanceRef, 'product' | 'instance'>): OpenRcNames {
  const prefix = root === '/' ? '' : `h${createHash('sha256').update(root).digest('hex').slice(0, 8)}-`;
  const service = `${prefix}${ref.product}-${ref.instance}`;
  const files = filesOf(root, ref);
  return { service, initScript: `${initDir}/${service}`, launchFile: `${files}.launch`, processNote: `${files}.process`, exitNote: `${files}.exit`, stopMark: `${files}.stop` };
}

const filesOf = (root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>): string => `${hostLayout(root, product).runtimeDir}/${instance}`;

/** Stands in each generated file. Two pairs of product and instance can make one name (`a-b` and `c`, `a` and `b-c`): this tells them apart. */
export const ownerLine = (root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>): string => `# fairlead: ${product}/${instance} of ${root}`;

/** What names the shell that waits for the instance in `/proc`; the instance itself has FAIRLEAD_INSTANCE instead. */
export const watcherIdentity = (root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>) => ({ FAIRLEAD_ROOT: root, FAIRLEAD_WATCHES: `${product}/${instance}` });

/** What the instance is told that it is. Neither the manifest nor the conf file can change it. */
export const instanceIdentity = (root: string, { product, instance }: Pick<InstanceRef, 'product' | 'instance'>) => ({ FAIRLEAD_INSTANCE: `${product}/${instance}`, FAIRLEAD_ROOT: root });

/**
 * `/etc/init.d/<name>`.
 *
 * A crash is seen as one for two seconds or more, which is what a run that proves a release waits for; then the instance is started anew, which is what
 * whoever sleeps at 3 a.m. waits for. The sixth crash within a minute ends that: the service has then failed until somebody starts it. Fairlead's own agent
 * is started anew for ever.
 *
 * The signal to stop is sent by the launch file, not by supervise-daemon's schedule: that reaches only its own child, which is the shell that waits for
 * the program and notes how it ended. The schedule is for that shell alone.
 */
export function renderInitScript(root: string, ref: InstanceRef, names: OpenRcNames): string {
  const layout = hostLayout(root, ref.product);
  const command = [...Object.entries(watcherIdentity(root, ref)).map(([name, value]) => `${name}=${value}`), '/bin/sh', names.launchFile, 'run'];
  const log = layout.logFile(ref.instance);
  return lines(
    '#!/sbin/openrc-run',
    ownerLine(root, ref),
    `# Written by Fairlead; which release runs, and how, is said in ${names.launchFile}. Settings of yours go into /etc/conf.d/${names.service}.`,
    '',
    `name=${word(`${ref.product} ${ref.instance}`)}`,
    `description=${word(`${ref.product}: instance ${ref.instance} of ${ref.service}`)}`,
    'supervisor=supervise-daemon',
    'command=/usr/bin/env',
    // OpenRC evaluates these once more.
    `command_args=${word(command.map(word).join(' '))}`,
    `output_log=${word(word(log))}`,
    `error_log=${word(word(log))}`,
    'respawn_delay="${respawn_delay:-1}"',
    `respawn_max="\${respawn_max:-${isOwnAgent(ref) ? 0 : 5}}"`,
    'respawn_period="${respawn_period:-60}"',
    'retry=SIGTERM/3/SIGKILL/2',
    // What it started outlives it, also where /etc/rc.conf has OpenRC kill whatever is left in the control group of a service.
    ...(isOwnAgent(ref) ? ['rc_cgroup_cleanup=no'] : []),
    `fairlead_launch=${word(names.launchFile)}`,
    '',
    'depend() {',
    '\tneed net',
    '\tafter firewall',
    '}',
    '',
    'start_pre() {',
    '\tif ! [ -r "$fairlead_launch" ]; then',
    '\t\teerror "$name cannot start: there is no $fairlead_launch. Have Fairlead start it."',
    '\t\treturn 1',
    '\tfi',
    '\tfairlead_problem=$(/bin/sh "$fairlead_launch" check) && return 0',
    '\teerror "$name cannot start: $fairlead_problem"',
    '\treturn 1',
    '}',
    '',
    'stop_pre() {',
    '\tif [ -r "$fairlead_launch" ]; then /bin/sh "$fairlead_launch" stop; fi',
    '\treturn 0',
    '}',
  );
}

/**
 * `<runtimeDir>/<instance>.launch`, of one release. Its `run` is supervised, and waits for the program in the foreground: a program started in the
 * background of a shell ignores SIGINT and SIGQUIT for good, and one that took the shell's place would tell its exit to nobody but the system log.
 * @param command argv whose first word is an absolute path
 * @param env what the instance gets beside its conf file, which wins
 */
export function renderLaunchFile(root: string, spec: InstanceSpec, command: readonly string[], env: Readonly<Record<string, string>>): string {
  const layout = hostLayout(root, spec.product);
  const identity = instanceIdentity(root, spec);
  const [program = ''] = command;
  const launched = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), '/bin/sh', '-c', launchScript, 'fairlead-launch'].map(word);
  const told = [spec.configFile, spec.releaseDir, spec.releaseId, identity.FAIRLEAD_INSTANCE, identity.FAIRLEAD_ROOT].map(word);
  return lines(
    ownerLine(root, spec),
    `# ${spec.instance} on release ${spec.releaseId}. Written by Fairlead at each start that it asks for; run by OpenRC.`,
    `files=${word(filesOf(root, spec))}`,
    `release_dir=${word(spec.releaseDir)}`,
    `program=${word(program)}`,
    `log_dir=${word(layout.logsDir)}`,
    `stop_signal=${spec.stopSignal.slice(3)}`,
    `stop_seconds=${Math.max(1, Math.ceil(spec.stopSeconds))}`,
    '',
    '# Sets $pid. Fails where the process that was noted last is gone: its number may be another one\'s by now.',
    'find_main() {',
    '  [ -r "$files.process" ] && read -r noted_launch noted_boot pid noted_ticks noted_release <"$files.process" || return 1',
    '  read -r boot </proc/sys/kernel/random/boot_id',
    '  [ "$noted_boot" = "$boot" ] && read_stat "$pid" && [ "$state" != Z ] && [ "$state" != X ] && [ "$ticks" = "$noted_ticks" ]',
    '}',
    '',
    '# Sets $state, $parent and $ticks of a process (proc_pid_stat(5)). The name in it may hold blanks and brackets.',
    'read_stat() {',
    '  stat=$(cat "/proc/$1/stat" 2>/dev/null) && [ -n "$stat" ] || return 1',
    '  set -- ${stat##*) }',
    '  state=$1 parent=$2 ticks=${20}',
    '}',
    '',
    '# Every process of the instance and of what it started.',
    'list_members() {',
    '  for directory in /proc/[0-9]*; do',
    ...Object.entries(identity).map(([name, value], at) => `    ${at === 0 ? 'if ' : '  '}tr '\\000' '\\n' 2>/dev/null <"$directory/environ" | grep -Fqx -e ${word(`${name}=${value}`)} &&`),
    '      ! grep -q "^State:.[ZX]" "$directory/status" 2>/dev/null; then echo "${directory#/proc/}"; fi',
    '  done 2>/dev/null',
    '}',
    '',
    'check() {',
    `  if ! [ -e "$release_dir/${completeMark}" ]; then echo "release ${spec.releaseId} is not complete, since $release_dir/${completeMark} is not there. Install it again, or roll back."; return 1; fi`,
    '  if ! [ -x "$program" ]; then echo "its program $program is not there, or cannot be executed. Install it, or roll back."; return 1; fi',
    '  rm -f "$files.stop"',
    '  mkdir -p "$log_dir"',
    '}',
    '',
    '# Ends the supervision: supervise-daemon starts anew whatever ends, with whatever status. This shell ends by the signal that it then gets from it, not',
    '# before: where both signals reach a supervisor at once, it takes the dead shell for a living one, and waits for its end in vain.',
    'leave() {',
    '  trap \'exit "$status"\' TERM',
    '  read_stat $$ && [ "$parent" = "$supervisor" ] && [ "$parent" != 1 ] && kill -s TERM "$supervisor" || exit "$status"',
    '  for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.1 2>/dev/null || sleep 1; done',
    '  exit "$status"',
    '}',
    '',
    'run() {',
    '  # The traps keep this shell alive to note the end. Unlike an ignored signal, a trap is not inherited by the program.',
    '  trap : HUP INT QUIT TERM',
    '  read_stat $$',
    '  supervisor=$parent status=1 launch=$$-$ticks',
    '  if [ -e "$files.stop" ]; then leave; fi',
    '  if find_main; then',
    '    # The shell before this one was killed, and the program that it had started runs on. There must not be a second one beside it.',
    '    while find_main; do sleep 1; done',
    '    if [ -e "$files.stop" ]; then leave; fi',
    '    exit 1',
    '  fi',
    '  # A stop may have ended that program between the two looks above.',
    '  if [ -e "$files.stop" ]; then leave; fi',
    '  read -r boot </proc/sys/kernel/random/boot_id',
    `  /usr/bin/env -i ${launched.join(' ')} \\`,
    `    "$files" "$launch" "$boot" ${told.join(' ')} \\`,
    `    ${command.map(word).join(' ')}`,
    '  status=$?',
    '  printf "%s %s\\n" "$launch" "$status" >"$files.exit.new" && mv -f "$files.exit.new" "$files.exit"',
    '  if [ -e "$files.stop" ]; then leave; fi',
    '  # supervise-daemon misses a child that ends before it has begun to wait.',
    '  sleep 1',
    ...(isOwnAgent(spec) ? [] : ['  if [ "$status" = 0 ]; then leave; fi']),
    '  exit "$status"',
    '}',
    '',
    'stop() {',
    '  : >"$files.stop"',
    '  if find_main; then',
    '    kill -s "$stop_signal" "$pid"',
    '    deadline=$(($(date +%s) + stop_seconds))',
    '    while find_main && [ "$(date +%s)" -lt "$deadline" ]; do sleep 0.2 2>/dev/null || sleep 1; done',
    '    if find_main; then kill -s KILL "$pid"; fi',
    '  fi',
    '  for pid in $(list_members); do kill -s KILL "$pid" 2>/dev/null; done',
    '  return 0',
    '}',
    '',
    '"$1"',
  );
}

/**
 * Notes the process and turns into the program. Arguments: the files' common path, launch id, boot id, conf file, release's directory, releaseId, instance,
 * root; then the command. The note comes before the conf file, which may set any variable, PATH as well.
 */
const launchScript = [
  'cd "$5" || exit 1',
  'read -r stat </proc/$$/stat',
  'ticks_of() { shift 19; ticks=$1; }',
  'ticks_of ${stat##*) }',
  '(umask 077; printf "%s %s %s %s %s\\n" "$2" "$3" $$ "$ticks" "$6" >"$1.process.new" && mv -f "$1.process.new" "$1.process") || rm -f "$1.process"',
  'unset stat ticks',
  'if [ -r "$4" ]; then set -a; . "$4"; set +a; fi',
  'export FAIRLEAD_RELEASE_ID="$6" FAIRLEAD_INSTANCE="$7" FAIRLEAD_ROOT="$8"',
  'shift 8',
  'exec "$@"',
].join('\n');

/** One word of a shell; quoted only where it has to be, so that the files can be read by people. */
export const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : quoteForShell(text));

const lines = (...all: string[]): string => `${all.join('\n')}\n`;
