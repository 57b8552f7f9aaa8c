import { hostLayout } from '../../../domain/host/layout.ts';
import type { InstanceName, ProductName } from '../../../domain/ids.ts';
import type { InstanceSpec } from '../../../ports/service-manager.ts';
import { quoteForShell } from '../../../domain/shell-word.ts';

/**
 * Waits for the instance and writes down how it ended, because the agent that started it may be gone by then, and a process that is not
 * our child tells its exit to nobody. Arguments: exit file, launch id, then the command.
 *
 * It is a watcher, not a supervisor: signals go to the real process, which leads a session of its own, and if the watcher is killed the
 * instance runs on and only the exit status is lost. The traps keep it alive through a signal that was meant for a whole group; a trap,
 * other than an ignored signal, is not inherited by the command.
 */
const watch = [
  'trap : HUP INT QUIT TERM',
  'exit_file=$1 launch=$2',
  'shift 2',
  'FAIRLEAD_INSTANCE=$FAIRLEAD_WATCHES',
  'export FAIRLEAD_INSTANCE',
  'unset FAIRLEAD_WATCHES',
  'setsid "$@"',
  // What notes the end is not the instance's.
  'status=$?',
  'unset FAIRLEAD_INSTANCE',
  'printf "%s %s\\n" "$launch" "$status" >"$exit_file.$$" && mv -f "$exit_file.$$" "$exit_file"',
];
export const watchScript = watch.join('\n');

/** argv of the watcher. `command` must not start with a dash. */
export function watchCommand(exitFile: string, launchId: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', watchScript, 'fairlead-watch', exitFile, launchId, ...command];
}

/** What an instance is told by its environment alone, and what a scan of `/proc` finds it by. `root` keeps two hosts on one machine apart. */
export function identityEnvironment(root: string, product: ProductName, instance: InstanceName) {
  return {
    /** Set for the watcher only. */
    watcher: { FAIRLEAD_WATCHES: `${product}/${instance}`, FAIRLEAD_ROOT: root },
    /** Set for the instance and what it starts. */
    instance: { FAIRLEAD_INSTANCE: `${product}/${instance}`, FAIRLEAD_ROOT: root },
  };
}

/** Later ones win: the minimum, the spec's, the conf file's, and what the manager itself needs to find the process again. Nothing of the agent's own environment is in it. */
export function launchEnvironment(root: string, spec: InstanceSpec, path: string, conf: Readonly<Record<string, string>>, launchId: string): Record<string, string> {
  return {
    PATH: path,
    HOME: hostLayout(root, spec.product).stateRoot,
    LANG: 'C.UTF-8',
    ...spec.env,
    ...conf,
    FAIRLEAD_RELEASE_ID: spec.releaseId,
    FAIRLEAD_LAUNCH_ID: launchId,
    ...identityEnvironment(root, spec.product, spec.instance).watcher,
  };
}

/** Where the manager keeps what it knows of an instance. */
export function instanceFiles(root: string, product: ProductName, instance: InstanceName) {
  const { runtimeDir } = hostLayout(root, product);
  return { runtimeDir, record: `${runtimeDir}/${instance}.json`, exit: `${runtimeDir}/${instance}.exit` };
}

/** Lines that end the instance, with everything that it started; they do nothing where it does not run. They need `sh`, `tr`, `grep` and `/proc`. */
export function stopLines(root: string, spec: Pick<InstanceSpec, 'product' | 'instance' | 'stopSignal' | 'stopSeconds'>): string[] {
  const wanted = Object.entries(identityEnvironment(root, spec.product, spec.instance).instance).map(([name, value]) => quoteForShell(`${name}=${value}`));
  return [
    'fairlead_pids() {',
    '  for fairlead_dir in /proc/[0-9]*; do',
    `    if tr '\\000' '\\n' 2>/dev/null <"$fairlead_dir/environ" | grep -Fqx -e "$1" &&`,
    `      tr '\\000' '\\n' 2>/dev/null <"$fairlead_dir/environ" | grep -Fqx -e "$2" &&`,
    '      ! grep -q "^State:.[ZX]" "$fairlead_dir/status" 2>/dev/null; then echo "${fairlead_dir#/proc/}"; fi',
    '  done 2>/dev/null || true',
    '}',
    'fairlead_stop() {',
    '  for fairlead_pid in $(fairlead_pids "$1" "$2"); do kill -s "$3" "$fairlead_pid" 2>/dev/null || true; done',
    '  fairlead_waited=0',
    '  while [ -n "$(fairlead_pids "$1" "$2")" ] && [ "$fairlead_waited" -lt "$4" ]; do sleep 1; fairlead_waited=$((fairlead_waited + 1)); done',
    '  for fairlead_pid in $(fairlead_pids "$1" "$2"); do kill -s KILL "$fairlead_pid" 2>/dev/null || true; done',
    '}',
    `fairlead_stop ${wanted.join(' ')} ${spec.stopSignal.slice(3)} ${Math.max(1, Math.ceil(spec.stopSeconds))}`,
  ];
}

/**
 * Lines that end the instance, if it runs, and start it on `spec.releaseId`. They need `setsid` and `env` beside what stopping needs.
 * @param command argv whose first word is a program that was already looked up.
 */
export function recoveryLines(root: string, spec: InstanceSpec, command: readonly string[], path: string): string[] {
  const files = instanceFiles(root, spec.product, spec.instance);
  const q = quoteForShell;
  const assignments = Object.entries(launchEnvironment(root, spec, path, {}, ''))
    .filter(([name]) => name !== 'FAIRLEAD_LAUNCH_ID')
    .map(([name, value]) => q(`${name}=${value}`));
  // The conf file is read by the shell that turns into the watcher, so that no secret of it stands in the script.
  const launch = ['if [ -r "$1" ]; then set -a; . "$1"; set +a; fi', 'shift', ...watch].join('\n');
  return [
    `# ${spec.instance}: end what runs, then start release ${spec.releaseId}.`,
    ...stopLines(root, spec),
    `mkdir -p ${q(files.runtimeDir)} ${q(directoryOf(spec.logFile))}`,
    `rm -f ${q(files.exit)}`,
    `( cd ${q(spec.releaseDir)} && fairlead_launch="recovery-$$-$(date +%s)" &&`,
    `  exec setsid env -i ${assignments.join(' ')} "FAIRLEAD_LAUNCH_ID=$fairlead_launch" /bin/sh -c ${q(launch)} fairlead-watch ${q(spec.configFile)} ${q(files.exit)} "$fairlead_launch" ${command.map(q).join(' ')} \\`,
    `  </dev/null >>${q(spec.logFile)} 2>&1 ) &`,
  ];
}

const directoryOf = (path: string) => path.slice(0, Math.max(1, path.lastIndexOf('/')));
