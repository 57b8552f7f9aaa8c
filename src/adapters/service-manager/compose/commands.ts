import { dirname } from 'node:path';
import { quoteForShell as q } from '../../../domain/shell-word.ts';
import type { InstanceRef, InstanceSpec, ReloadSignal, StopSpec } from '../../../ports/service-manager.ts';
import { composeNames, containerLabels, identityEnvironment, instanceEnvironment, logOptions, sharedDirectories } from './compose-file.ts';

/** Where `docker` looks for the daemon when it is told nothing. */
export const defaultDockerHost = 'unix:///var/run/docker.sock';

export const inspectCommand = (container: string): string[] => ['docker', 'container', 'inspect', container];
export const signalCommand = (container: string, signal: StopSpec['stopSignal'] | ReloadSignal | 'SIGKILL'): string[] => ['docker', 'kill', '--signal', signal, container];
export const waitCommand = (container: string): string[] => ['docker', 'wait', container];
export const removeCommand = (container: string): string[] => ['docker', 'rm', '--force', '--volumes', container];
export const restartPolicyCommand = (container: string, policy: 'no' | 'unless-stopped'): string[] => ['docker', 'update', '--restart', policy, container];
/** With time stamps, because standard output and standard error come apart and have to be put in order again. */
export const logsCommand = (container: string, lines: number): string[] => ['docker', 'logs', '--timestamps', '--tail', String(lines), container];

export const inspectImageCommand = (image: string): string[] => ['docker', 'image', 'inspect', '--format', '{{.Id}}', image];
export const loadImageCommand = (file: string): string[] => ['docker', 'load', '--input', file];
export const importImageCommand = (file: string, image: string): string[] => ['docker', 'import', file, image];
export const tagImageCommand = (from: string, image: string): string[] => ['docker', 'tag', from, image];
export const listTagsCommand = (repository: string): string[] => ['docker', 'image', 'ls', '--format', '{{.Tag}}', repository];
export const removeImageCommand = (image: string): string[] => ['docker', 'image', 'rm', image];

/** @param compose the words that run Compose here: `docker compose`, or `docker-compose` */
export function upCommand(compose: readonly string[], root: string, ref: InstanceRef): string[] {
  const { project, composeFile } = composeNames(root, ref);
  return [...compose, '--ansi', 'never', '--project-name', project, '--file', composeFile, 'up', '--detach', '--no-deps', ref.instance];
}

/** What the commands of Compose are told beside the caller's environment. */
export const composeSettings = {
  // The instances of a product are services of one project, but each has a file of its own.
  COMPOSE_IGNORE_ORPHANS: '1',
  // docker-compose 1.29 asks for the version of the API that it was written for, which newer daemons refuse; `docker compose` ignores it.
  COMPOSE_API_VERSION: 'auto',
} as const;

const dockerLines = (dockerHost: string | null): string[] => [
  // An absolute path, and the daemon named: a conf file may set PATH and DOCKER_HOST for the instance.
  'fairlead_docker=$(command -v docker)',
  dockerHost === null ? `fairlead_docker_host=\${DOCKER_HOST:-${defaultDockerHost}}` : `fairlead_docker_host=${q(dockerHost)}`,
];
const docker = '"$fairlead_docker" -H "$fairlead_docker_host"';

/** Lines that end the instance's container, keep what it said, and remove it; they do nothing where there is none. They need `docker`. */
export function stopLines(root: string, dockerHost: string | null, spec: StopSpec, logFile: string): string[] {
  const { container } = composeNames(root, spec);
  return [
    ...dockerLines(dockerHost),
    `if ${docker} container inspect ${q(container)} >/dev/null 2>&1; then`,
    `  ${docker} stop --time ${Math.max(1, Math.ceil(spec.stopSeconds))} ${q(container)} >/dev/null`,
    `  mkdir -p ${q(dirname(logFile))} && ${docker} logs ${q(container)} >>${q(logFile)} 2>&1 || true`,
    `  ${docker} rm --force --volumes ${q(container)} >/dev/null`,
    'fi',
  ];
}

/**
 * Lines that end the instance, if it runs, and start it on `spec.releaseId`, without Compose: `docker run` with what the Compose file would say.
 * Nobody is there to prove the release or to watch it, so that the daemon is told to bring it back from the first moment on.
 */
export function recoveryLines(root: string, dockerHost: string | null, spec: InstanceSpec, image: string, command: readonly string[]): string[] {
  const { container, stopMark } = composeNames(root, spec);
  const [program = '', ...words] = command;
  const exported = (values: Readonly<Record<string, string>>): string[] => Object.entries(values).map(([name, value]) => `  export ${name}=${q(value)}`);
  const first = instanceEnvironment(root, spec);
  const last = identityEnvironment(root, spec);
  const names = [...new Set([...Object.keys(first), ...Object.keys(last)])];
  const options = [
    ...['--name', container, '--init', '--network', 'host', '--restart', 'unless-stopped', '--stop-signal', spec.stopSignal],
    ...['--stop-timeout', String(Math.max(1, Math.ceil(spec.stopSeconds))), '--workdir', spec.releaseDir, '--log-driver', 'json-file'],
    ...Object.entries(logOptions).flatMap(([name, value]) => ['--log-opt', `${name}=${value}`]),
    ...Object.entries(containerLabels(root, spec)).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
    ...sharedDirectories(root, spec).flatMap(({ path, readOnly }) => ['--mount', `type=bind,source=${path},target=${path}${readOnly ? ',readonly' : ''}`]),
    ...names.flatMap((name) => ['--env', name]),
  ];
  const sharedPaths = sharedDirectories(root, spec).filter(({ path }) => path !== spec.releaseDir).map(({ path }) => q(path));
  return [
    `# ${spec.instance}: end what runs, then start release ${spec.releaseId}.`,
    ...stopLines(root, dockerHost, spec, spec.logFile),
    `rm -f ${q(stopMark)}`,
    `mkdir -p ${sharedPaths.join(' ')}`,
    '(',
    ...exported(first),
    // Values go through the environment of this subshell, where other users cannot read them. A name that is only a line of another value is not set,
    // and docker leaves out what is not set.
    `  set --`,
    `  if [ -r ${q(spec.configFile)} ]; then`,
    `    for fairlead_name in $(sed -n 's/^[[:blank:]]*\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p' ${q(spec.configFile)}); do set -- "$@" --env "$fairlead_name"; done`,
    `    set -a; . ${q(spec.configFile)}; set +a`,
    '  fi',
    ...exported(last),
    `  exec ${docker} run --detach ${options.map(wordForShell).join(' ')} "$@" --entrypoint ${wordForShell(program)} ${[image, ...words].map(wordForShell).join(' ')} >/dev/null`,
    ')',
  ];
}

/** Quoted only where the shell would not take the word as it is: these lines are read by people in a hurry. */
const wordForShell = (text: string): string => (/^[A-Za-z0-9_./:=,@+-]+$/.test(text) ? text : q(text));
