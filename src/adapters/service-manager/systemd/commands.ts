import { hostLayout } from '../../../domain/host/layout.ts';
import { quoteForShell as q } from '../../../domain/shell-word.ts';
import type { InstanceSpec, ReloadSignal, StopSpec } from '../../../ports/service-manager.ts';
import { shownProperties } from './parse.ts';
import { renderDropIn, renderTarget, renderTemplate, unitFiles, unitNames } from './units.ts';

/** Command lines of systemctl(1); they run nothing. */
export const show = (...units: string[]): string[] => ['systemctl', 'show', `--property=${shownProperties.join(',')}`, '--', ...units];
export const daemonReload: readonly string[] = ['systemctl', 'daemon-reload'];
export const startUnit = (unit: string): string[] => ['systemctl', 'start', '--', unit];
/** Only the target itself: its instances are started one by one, by those who know whether they should run. */
export const startTarget = (target: string): string[] => ['systemctl', 'start', '--job-mode=ignore-dependencies', '--', target];
export const stopUnit = (unit: string): string[] => ['systemctl', 'stop', '--', unit];
/** Also lets a unit that was started too often start again. Fails where systemd knows nothing of the unit; there is nothing to reset then. */
export const resetFailed = (unit: string): string[] => ['systemctl', 'reset-failed', '--', unit];
export const killMain = (unit: string, signal: ReloadSignal): string[] => ['systemctl', 'kill', '--kill-who=main', `--signal=${signal}`, '--', unit];
export const killAll = (unit: string): string[] => ['systemctl', 'kill', '--kill-who=all', '--signal=SIGKILL', '--', unit];

/** What an instance is told by its environment. The conf file wins over all of it, which is why it may not name the ones of Fairlead. */
export function instanceEnvironment(root: string, spec: InstanceSpec, path: string): Record<string, string> {
  return { PATH: path, HOME: hostLayout(root, spec.product).stateRoot, LANG: 'C.UTF-8', ...spec.env, ...identityOf(root, spec) };
}

export const identityOf = (root: string, spec: Pick<InstanceSpec, 'product' | 'instance' | 'releaseId'>) => ({
  FAIRLEAD_RELEASE_ID: spec.releaseId,
  FAIRLEAD_INSTANCE: `${spec.product}/${spec.instance}`,
  FAIRLEAD_ROOT: root,
});

/**
 * Lines that have systemd run the instance on `spec.releaseId`, now and after each boot. They need `systemctl` and write every file that it takes.
 * @param command argv whose first word is a program that was already looked up
 */
export function recoveryLines(root: string, unitDir: string, spec: InstanceSpec, command: readonly string[], path: string): string[] {
  const names = unitNames(root, spec);
  const files = unitFiles(unitDir, names);
  const layout = hostLayout(root, spec.product);
  const texts: [string, string][] = [
    [files.target, renderTarget(root, spec)],
    [files.template, renderTemplate(root, spec, names)],
    [files.dropIn, renderDropIn(root, spec, command, instanceEnvironment(root, spec, path))],
  ];
  return [
    `# ${spec.instance}: have systemd run release ${spec.releaseId}.`,
    `mkdir -p ${[files.dropInDir, layout.runtimeDir, layout.logsDir].map(q).join(' ')}`,
    ...texts.map(([file, text]) => `printf %s ${q(text)} >${q(`${file}.new`)} && mv -f ${q(`${file}.new`)} ${q(file)}`),
    'systemctl daemon-reload',
    `systemctl enable --quiet ${q(names.target)} ${q(names.unit)}`,
    `systemctl reset-failed ${q(names.unit)} 2>/dev/null || true`,
    `systemctl restart ${q(names.unit)}`,
  ];
}

/** Lines that stop the instance and keep it from starting with the machine; they do nothing where it does not run. */
export function stopLines(root: string, spec: StopSpec): string[] {
  const { unit } = unitNames(root, spec);
  return [`systemctl disable --quiet ${q(unit)} 2>/dev/null || true`, `systemctl stop ${q(unit)} 2>/dev/null || ! systemctl is-active --quiet ${q(unit)}`, `systemctl reset-failed ${q(unit)} 2>/dev/null || true`];
}

