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
  /** `missing` stops something from working; `absent` is something that can be done without. */
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
  return [nodeFinding(), await temporalFinding(context), await postgresFinding(), ...(await programFindings(context)), ...(await apiFindings(options, context))];
}

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
    const health = await api.get<HealthDetailedAnswer>('/health/detailed', { timeoutMs: 10_000 });
    const findings: Finding[] = [{ name: 'API', state: health.status === 'ok' ? 'ok' : 'missing', detail: `${api.connection.url}, version ${health.version}, ${health.status}`, mend: null }];
    for (const { name, healthy, detail } of health.dependencies) findings.push({ name: `API: ${name}`, state: healthy ? 'ok' : 'missing', detail, mend: healthy ? null : 'see its log; it is tried again by itself' });
    const workers = health.controlWorkers;
    findings.push({ name: 'control worker', state: workers === 0 ? 'missing' : 'ok', detail: workers === null ? 'not known' : `${workers} poll for runs`, mend: workers === 0 ? 'start one: fairlead serve --role controller; until then runs wait' : null });
    return findings;
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    // Without an API there is nothing to mend where nobody said that there should be one.
    const wanted = options.api !== undefined || options.dir !== undefined || Boolean(context.env['FAIRLEAD_API_URL']);
    return [{ name: 'API', state: wanted ? 'missing' : 'absent', detail: error.message, mend: error.hint?.replaceAll('\n', '; ') ?? null }];
  }
}
