import { dirname } from 'node:path';
import { hostLayout } from '../../../domain/host/layout.ts';
import { quoteForShell as q } from '../../../domain/shell-word.ts';
import type { InstanceSpec, StopSpec } from '../../../ports/service-manager.ts';
import { stopLines as endLines } from '../embedded/commands.ts';
import { openRcNames, renderInitScript, renderLaunchFile } from './init-script.ts';

/** Command lines of rc-service(8) and rc-update(8); they run nothing. */
export const statusService = (service: string): string[] => ['rc-service', service, 'status'];
export const startService = (service: string): string[] => ['rc-service', service, 'start'];
export const stopService = (service: string): string[] => ['rc-service', service, 'stop'];
/** Has OpenRC forget what it thinks of a service that has failed or whose supervisor was killed. */
export const zapService = (service: string): string[] => ['rc-service', service, 'zap'];
export const addToBoot = (service: string): string[] => ['rc-update', 'add', service, runlevel];
export const removeFromBoot = (service: string): string[] => ['rc-update', 'del', service, runlevel];

const runlevel = 'default';

/** What an instance is told by its environment, beside what it is. The conf file wins over all of it. */
export const instanceEnvironment = (root: string, spec: InstanceSpec, path: string): Record<string, string> => ({
  PATH: path,
  HOME: hostLayout(root, spec.product).stateRoot,
  LANG: 'C.UTF-8',
  ...spec.env,
});

/**
 * Lines that have OpenRC run the instance on `spec.releaseId`, now and after each boot. They write every file that it takes, and need nothing of Fairlead.
 * @param command argv whose first word is a program that was already looked up
 */
export function recoveryLines(root: string, initDir: string, spec: InstanceSpec, command: readonly string[], path: string): string[] {
  const names = openRcNames(root, initDir, spec);
  const launch = q(names.launchFile);
  const texts: [string, string][] = [
    [names.launchFile, renderLaunchFile(root, spec, command, instanceEnvironment(root, spec, path))],
    [names.initScript, renderInitScript(root, spec, names)],
  ];
  return [
    `# ${spec.instance}: have OpenRC run release ${spec.releaseId}.`,
    `mkdir -p ${q(dirname(names.launchFile))} ${q(dirname(spec.logFile))}`,
    ...texts.map(([file, text]) => `printf %s ${q(text)} >${q(`${file}.new`)} && chmod 755 ${q(`${file}.new`)} && mv -f ${q(`${file}.new`)} ${q(file)}`),
    `rc-update add ${q(names.service)} ${runlevel} >/dev/null`,
    `rc-service ${q(names.service)} stop >/dev/null 2>&1 || true`,
    '# However it was started: OpenRC leaves alone what it does not think to be running.',
    `/bin/sh ${launch} stop`,
    `rc-service ${q(names.service)} zap >/dev/null 2>&1 || true`,
    `rc-service ${q(names.service)} start >/dev/null`,
  ];
}

/** Lines that stop the instance, however it was started, and keep it from starting with the machine; they do nothing where it does not run. */
export function stopLines(root: string, initDir: string, spec: StopSpec): string[] {
  const { service, initScript } = openRcNames(root, initDir, spec);
  return [
    `if [ -e ${q(initScript)} ]; then`,
    `  rc-update del ${q(service)} ${runlevel} >/dev/null 2>&1 || true`,
    `  rc-service ${q(service)} stop >/dev/null 2>&1 || true`,
    `  rc-service ${q(service)} zap >/dev/null 2>&1 || true`,
    'fi',
    ...endLines(root, spec),
  ];
}
