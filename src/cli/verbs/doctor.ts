import type { Command } from 'commander';
import type { HealthDetailedAnswer } from '../../contract/index.ts';
import { existingAccount } from '../../adapters/embedded-postgres/account.ts';
import { findBinaries } from '../../adapters/embedded-postgres/binaries.ts';
import { FairleadError } from '../../domain/failure.ts';
import { findTemporalCli, machinePrograms, missingPrograms, temporalCliVersion } from '../../runtime/toolchain.ts';
import { createApiClient } from '../api-client.ts';
import { findConnection, withConnection } from '../connection.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { renderTable } from '../table.ts';

export interface Finding {
  readonly name: string;
  /** `missing` stops something from working; `absent` is something that can be done without, or that will not last. */
  readonly state: 'ok' | 'absent' | 'missing';
  readonly detail: string;
  readonly mend: string | null;
}

export function registerDoctor(program: Command, context: Context): void {
  withConnection(program.command('doctor').description('what is there, what is missing, and how to mend it')).action(async (options: ConnectionOptions & { json?: boolean }) => {
    const findings = await doctorFindings(options, context);
    if (options.json) printJson(context, { ok: findings.every(({ state }) => state !== 'missing'), findings });
    else {
      context.out(renderTable(['WHAT', 'STATE', 'DETAIL'], findings.map(({ name, state, detail }) => [name, state, detail])));
      for (const { name, mend } of findings) if (mend !== null) context.note(`${name}: ${mend}`);
    }
    if (findings.some(({ state }) => state === 'missing')) context.exitWith(exitCodes.failed);
  });
}

/** What `fairlead doctor` finds. */
export async function doctorFindings(options: ConnectionOptions, context: Context): Promise<Finding[]> {
  const own = [await temporalFinding(context), await postgresFinding()].map((finding) => (isElsewhere(options, context) && finding.state === 'missing' ? { ...finding, state: 'absent' as const } : finding));
  return [nodeFinding(), ...own, ...(await programFindings(context)), ...(await apiFindings(options, context))];
}

/** Where the API has an address, nothing of `fairlead dev` has to be on this machine. */
const isElsewhere = (options: ConnectionOptions, { env }: Context): boolean => options.api !== undefined || Boolean(env['FAIRLEAD_API_URL']);

const nodeFinding = (): Finding => ({ name: 'Node', state: 'ok', detail: `${process.version} (${process.execPath})`, mend: null });

async function temporalFinding({ env }: Context): Promise<Finding> {
  try {
    const found = await findTemporalCli(env);
    if (found !== null) return { name: 'Temporal CLI', state: 'ok', detail: `${found.path}, found by ${found.source}: ${found.version}`, mend: null };
    return { name: 'Temporal CLI', state: 'missing', detail: 'needed by fairlead dev and by tests', mend: `npm run setup downloads or builds ${temporalCliVersion}` };
  } catch (error) {
    return { name: 'Temporal CLI', state: 'missing', detail: error instanceof Error ? error.message : String(error), mend: 'unset FAIRLEAD_TEMPORAL_CLI, or name another one' };
  }
}

/** Looks only: `fairlead dev` makes the user and the copy, where they are needed. */
async function postgresFinding(): Promise<Finding> {
  const name = 'embedded PostgreSQL';
  const account = process.getuid?.() === 0 ? await existingAccount() : null;
  try {
    const { postgres } = await findBinaries(account, [], () => undefined);
    return { name, state: 'ok', detail: postgres, mend: null };
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error;
    if (account !== null && error.reason.code === 'embedded_postgres_unreachable') return { name, state: 'ok', detail: `the user ${account.name} cannot reach it here; fairlead dev copies it to where it can`, mend: null };
    return { name, state: 'missing', detail: error.message, mend: error.reason.hint ?? null };
  }
}

async function programFindings({ env }: Context): Promise<Finding[]> {
  const missing = await missingPrograms(env);
  return machinePrograms.map((entry) =>
    missing.includes(entry)
      ? { name: entry.program, state: 'absent', detail: entry.for, mend: `sudo apt-get install ${entry.package}` }
      : { name: entry.program, state: 'ok', detail: entry.for.split(';')[0] ?? '', mend: null },
  );
}

async function apiFindings(options: ConnectionOptions, context: Context): Promise<Finding[]> {
  try {
    const api = createApiClient(findConnection(options, context));
    const health = await api.get<HealthDetailedAnswer>('/health/detailed', { timeoutMs: 15_000 });
    return [{ name: 'API', state: health.status === 'ok' ? 'ok' : 'missing', detail: `${api.connection.url}, version ${health.version}, ${health.status}`, mend: null }, ...controlFindings(health)];
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    // Without an API there is nothing to mend where nobody said that there should be one.
    const wanted = options.api !== undefined || options.dir !== undefined || Boolean(context.env['FAIRLEAD_API_URL']);
    return [{ name: 'API', state: wanted ? 'missing' : 'absent', detail: error.message, mend: error.hint?.replaceAll('\n', '; ') ?? null }];
  }
}

/** What the API says of the control plane: each part, and below it what is wrong. Pure. */
export function controlFindings(health: HealthDetailedAnswer): Finding[] {
  const { dependencies, controlWorkers, schedules, fleet, memory, disk, hosts, findings } = health;
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const parts: { readonly name: string; readonly detail: string; readonly codes: readonly string[] }[] = [
    ...dependencies.map(({ name, detail }) => ({ name: `API: ${name}`, detail, codes: [`${name}_away`] })),
    { name: 'control worker', detail: controlWorkers === null ? 'not known' : `${controlWorkers} poll for runs`, codes: ['no_control_worker'] },
    { name: 'schedules', detail: schedules === null ? 'not known' : schedules.map(({ id, state }) => `${id} ${state}`).join(', '), codes: ['schedule_paused', 'schedule_late'] },
    { name: 'fleet', detail: `${fleet.connections} hosts connected to this copy${hosts === null ? '' : `; ${Object.entries(hosts).map(([status, count]) => `${count} ${status}`).join(', ') || 'no host is known'}`}`, codes: ['fleet_not_listening', 'fleet_deaf'] },
    { name: 'memory', detail: `${gibibytes(memory.resident)}${memory.limit === null ? '' : ` of ${gibibytes(memory.limit)}`}`, codes: ['memory_short'] },
    { name: 'disk', detail: disk === null ? 'not known' : `${gibibytes(disk.freeBytes)} free of ${gibibytes(disk.totalBytes)} at ${disk.path}`, codes: ['disk_short'] },
  ];
  const known = new Set(parts.flatMap(({ codes }) => codes));
  const rest = findings.filter(({ code }) => !known.has(code)).map(({ code }) => ({ name: code, detail: '', codes: [code] }));
  return [...parts, ...rest].map(({ name, detail, codes }) => {
    const wrong = [...findings.filter(({ code }) => codes.includes(code)), ...(name === 'fleet' ? hostFindings(hosts) : [])];
    if (wrong.length === 0) return { name, state: 'ok', detail, mend: null };
    return { name, state: wrong.some(({ severity }) => severity === 'failing') ? 'missing' : 'absent', detail: wrong.map(({ message }) => message).join(' '), mend: [...new Set(wrong.map(({ hint }) => hint))].join('; ') };
  });
}

/** Hosts that control does not hear, or that failed five times in a row: the control plane is well, and they are not. */
function hostFindings(hosts: HealthDetailedAnswer['hosts']): HealthDetailedAnswer['findings'] {
  const [away, failing] = [hosts?.['disconnected'] ?? 0, hosts?.['error'] ?? 0];
  if (away + failing === 0) return [];
  return [{ code: 'hosts_not_well', severity: 'warning', message: `${away} hosts are not heard, ${failing} have failed again and again.`, hint: 'See which, and since when: fairlead nodes list; on the host, the log of its agent says why' }];
}
