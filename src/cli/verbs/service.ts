import type { Command } from 'commander';
import type { ServiceRunAccepted, ServiceStatusAnswer } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';
import { renderPairs, renderTable } from '../table.ts';
import { followAccepted, type AcceptedOptions } from './follow-accepted.ts';
import { apiCommand, numberFrom, query } from './shared.ts';
import { resolveTarget } from './target.ts';

interface ServiceOptions extends AcceptedOptions {
  readonly host?: string;
  readonly product?: string;
  readonly instance?: readonly string[];
  readonly bakeSeconds?: number;
  readonly orRestart?: boolean;
  readonly port?: number;
}

export function registerService(program: Command, context: Context): void {
  const service = program.command('service').description('the services of a host: their instances');
  const target = (command: Command): Command =>
    command.option('--host <host>', 'which host (default: the only one)').option('--product <product>', 'which product (default: the only one)');
  const change = (command: Command): Command =>
    target(command).option('--detach', 'print the run and leave').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'));
  const rolling = (command: Command): Command =>
    change(command)
      .option('--instance <instance...>', 'only these, for example api-a (default: all of the service)')
      .option('--bake-seconds <seconds>', 'how long an instance has to stay healthy before the next one is touched', numberFrom(0, '--bake-seconds'));

  apiCommand(target(service.command('status').description('how each instance is now').argument('[service]', 'only this one')), context, async (api, options: ServiceOptions, name?: string) => {
    const status = await api.get<ServiceStatusAnswer>(`/api/services/status${query({ ...(await resolveTarget(api, options)), service: name })}`);
    if (options.json) return printJson(context, status);
    context.out(renderStatus(status));
    if (!status.asked) context.note(`${status.host} did not answer just now: what runs there is unknown, the rest is what it told at ${status.observedAt}`);
  });

  async function send(api: Parameters<typeof followAccepted>[0], path: string, options: ServiceOptions, body: Readonly<Record<string, unknown>>): Promise<void> {
    const whole = { ...(await resolveTarget(api, options)), ...Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) };
    const accepted = await api.post<ServiceRunAccepted>(`/api/services/${path}`, { body: whole });
    const { action, service: name, product, host, joined } = accepted;
    return followAccepted(api, accepted, `${action} ${name} of ${product} on ${host}${joined ? ', together with others who asked for it' : ''}`, options, context);
  }

  apiCommand(rolling(service.command('restart').description('restart its instances one at a time, and follow it to its end').argument('<service>')), context, (api, options: ServiceOptions, name: string) =>
    send(api, 'restart', options, { service: name, instances: options.instance, bakeSeconds: options.bakeSeconds }),
  );

  apiCommand(
    rolling(service.command('reload').description('have its instances take up their configuration without a restart').argument('<service>')).option('--or-restart', 'restart what cannot reload, or is not ready after it'),
    context,
    (api, options: ServiceOptions, name: string) => send(api, 'reload', options, { service: name, instances: options.instance, bakeSeconds: options.bakeSeconds, orRestart: options.orRestart }),
  );

  apiCommand(
    change(service.command('add-instance').description('add an instance on this host; updates keep it').argument('<service>').argument('<name>', 'without the service: c for api-c')).option('--port <port>', 'where it listens (default: a free one)', portFrom),
    context,
    (api, options: ServiceOptions, name: string, short: string) => send(api, 'add-instance', options, { service: name, name: shortOf(name, short), port: options.port }),
  );

  apiCommand(
    change(service.command('remove-instance').description('drain, stop and forget an instance that was added').argument('<service>').argument('<name>', 'without the service: c for api-c')),
    context,
    (api, options: ServiceOptions, name: string, short: string) => send(api, 'remove-instance', options, { service: name, name: shortOf(name, short) }),
  );
}

/** People see `api-c` everywhere else, and type it here. */
const shortOf = (service: string, name: string): string => (name.startsWith(`${service}-`) ? name.slice(service.length + 1) : name);

function portFrom(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw usageError(`--port is ${JSON.stringify(text)}: expected a port number from 1 to 65535`);
}

function renderStatus({ host, hostStatus, product, activeReleaseId, stranded, run, progress, instances }: ServiceStatusAnswer): string {
  const pairs: [string, string][] = [
    ['host', `${host}, ${hostStatus}`],
    ['product', `${product}, ${activeReleaseId === null ? 'nothing is installed' : `on ${activeReleaseId}`}`],
  ];
  if (stranded !== null) pairs.push(['STRANDED', stranded.message]);
  if (run !== null) pairs.push(['under way', `${run.runId}, ${run.kind}${progress === null ? '' : `, ${progress.direction === 'undo' ? 'undoing, ' : ''}${progress.step ?? progress.phase}`}`]);
  if (progress?.waiting) pairs.push(['waits for', `${progress.waiting.for}, since ${progress.waiting.since}${progress.waiting.until === null ? '' : `, until ${progress.waiting.until}`}; ends with: ${progress.waiting.release}`]);
  const rows = instances.map((each) => [each.name, each.status, each.releaseId ?? '-', each.pid === null ? '-' : String(each.pid), String(each.port), each.traffic ? 'yes' : 'no', each.lastExit ?? '-', each.extra ? 'added here' : '']);
  return renderPairs(pairs) + renderTable(['INSTANCE', 'STATUS', 'RELEASE', 'PID', 'PORT', 'TRAFFIC', 'LAST EXIT', 'NOTE'], rows);
}
