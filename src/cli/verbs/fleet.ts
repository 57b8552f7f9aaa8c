import type { Command } from 'commander';
import type { AcceptAnswer, EnrolmentCreated, FleetSession, HostDetail, LabelsAnswer, MaintenanceAnswer, SessionList } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes, usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand, instantOf, numberFrom, query, secondsOf } from './shared.ts';
import type { CommonOptions } from './shared.ts';

/** What people do with the fleet connection: enrol, look at sessions, decide, take a host out of service. */
export function registerFleetVerbs(nodes: Command, context: Context): void {
  const enroll = nodes
    .command('enroll')
    .description('make a one-time token for a host, and print the command to type there')
    .argument('<host>')
    .option('--role <role>', 'controller or node', 'node')
    .option('--expires <duration>', 'how long the token may be used: 30m, 1h, 7d', '1h');
  apiCommand(enroll, context, async (api, options: CommonOptions & { role: string; expires: string }, host: string) => {
    if (options.role !== 'controller' && options.role !== 'node') throw usageError(`--role is ${JSON.stringify(options.role)}: expected controller or node`);
    const created = await api.post<EnrolmentCreated>('/api/enrolments', { body: { host, role: options.role, expiresSeconds: secondsOf(options.expires, '--expires') } });
    const command = `fairlead host enroll --controller ${api.connection.url} --host-id ${host} --token ${created.token}`;
    if (options.json) return printJson(context, { ...created, command });
    if (created.token === null) throw new CommandFailure(exitCodes.failed, `enrolment ${created.id} was made, but its token was lost on the way`, 'make another one; the first one expires');
    context.out(`${command}\n`);
    context.note(`type this on ${host}, once, until ${created.expiresAt}; keys that ${host} has now open nothing from then on`);
  });

  const sessions = nodes.command('sessions').description('when a host was connected, and what it was seen to run; newest first').argument('<host>').option('--limit <n>', 'how many', numberFrom(1, '--limit'), 20);
  apiCommand(sessions, context, async (api, options: CommonOptions & { limit: number }, host: string) => {
    const list = await api.get<SessionList>(`/api/hosts/${encodeURIComponent(host)}/sessions${query({ limit: options.limit })}`);
    if (options.json) return printJson(context, list);
    context.out(renderTable(['CONNECTED', 'ENDED', 'WHY', 'BOOT', 'BY', 'RELEASES'], list.sessions.map((session) => [session.connectedAt, session.endedAt ?? '-', session.why ?? '-', session.bootId, session.transport, releasesText(session)])));
    if (list.sessions.length === 0) context.note(`${host} was never connected`);
  });

  const accept = nodes.command('accept').description('decide an identity conflict: this agent is the host, the others are refused').argument('<host>').requiredOption('--boot-id <id>', 'the agent, as `nodes show` lists them').requiredOption('--reason <text>', 'how you know; goes into the audit');
  apiCommand(accept, context, async (api, options: CommonOptions & { bootId: string; reason: string }, host: string) => {
    const accepted = await api.post<AcceptAnswer>(`/api/hosts/${encodeURIComponent(host)}/accept`, { body: { bootId: options.bootId, reason: options.reason } });
    if (options.json) return printJson(context, accepted);
    context.out(`${accepted.host} is agent ${accepted.acceptedBootId}; it connects again by itself\n`);
    context.note(`the others still have its key; give the host a new one: fairlead nodes enroll ${host}`);
  });

  const maintenance = nodes
    .command('maintenance')
    .description('take a host out of service for rollouts and repairs, or (--end) put it back')
    .argument('<host>')
    .option('--reason <text>', 'why; others read it')
    .option('--until <time>', 'when it ends by itself: an instant (2026-11-21T18:00:00Z), or a duration (2h)')
    .option('--end', 'end it now');
  apiCommand(maintenance, context, async (api, options: CommonOptions & { reason?: string; until?: string; end?: boolean }, host: string) => {
    if ((options.reason === undefined) === (options.end === undefined)) throw usageError('give --reason TEXT to begin a maintenance, or --end to end it');
    const path = `/api/hosts/${encodeURIComponent(host)}/maintenance`;
    const answer = options.end ? await api.delete<MaintenanceAnswer>(path) : await api.put<MaintenanceAnswer>(path, { body: { reason: options.reason, until: options.until === undefined ? null : instantOf(options.until, '--until', 'ahead') } });
    if (options.json) return printJson(context, answer);
    const { state } = answer;
    context.out(`${answer.host} is ${state.phase}${state.phase === 'maintenance' ? ` since ${state.since}, ${state.until === null ? 'until somebody ends it' : `until ${state.until}`}: ${state.reason}` : ''}\n`);
  });
}

/** `fairlead nodes label HOST env=prod old-`. */
export function registerLabel(nodes: Command, context: Context): void {
  const label = nodes.command('label').description('label a host, for the scopes of keys; without labels, show those that it has').argument('<host>').argument('[labels...]', 'name=value sets one, name- takes one away');
  apiCommand(label, context, async (api, options: CommonOptions, host: string, labels: string[]) => {
    const path = `/api/hosts/${encodeURIComponent(host)}`;
    const answer = labels.length === 0 ? await api.get<Pick<HostDetail, 'host' | 'labels'>>(path) : await api.put<LabelsAnswer>(`${path}/labels`, { body: { labels: Object.fromEntries(labels.map(changeOf)) } });
    if (options.json) return printJson(context, { host: answer.host, labels: answer.labels });
    context.out(`${labelsText(answer.labels)}\n`);
  });
}

function changeOf(text: string): [string, string | null] {
  const match = /^([a-z0-9._-]+?)(?:=(\S+)|-)$/.exec(text);
  if (match === null) throw usageError(`${JSON.stringify(text)} is no label: expected name=value, or name- to take one away`);
  return [match[1] ?? '', match[2] ?? null];
}

export const labelsText = (labels: Readonly<Record<string, string>> | undefined): string => Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`).sort().join(' ') || '-';

/** The lines of `nodes show` about connection, failures, maintenance and conflict. */
export function fleetPairs({ host, state, lastSession, conflict }: Pick<HostDetail, 'host' | 'state' | 'lastSession' | 'conflict'>): [string, string][] {
  const pairs: [string, string][] = [];
  if (lastSession) {
    const { connectedAt, endedAt, why, transport, bootId, copy } = lastSession;
    pairs.push(['session', `${endedAt === null ? 'open' : `ended ${endedAt} (${why})`}, connected ${connectedAt} over ${transport} with ${copy}, boot ${bootId}`], ['observed', releasesText(lastSession)]);
  }
  if (state?.phase === 'maintenance') pairs.push(['maintenance', `${state.reason}, by ${state.by}, ${state.until === null ? 'until somebody ends it' : `until ${state.until}`}; beneath it ${state.link.phase}`]);
  if (state?.failures.last && state.failures.contact + state.failures.run > 0) {
    const { contact, run, last } = state.failures;
    pairs.push(['failures', `${contact} of contact, ${run} of runs in a row; last ${last.at}: ${last.message} (${last.code})`]);
  }
  for (const agent of conflict?.agents ?? []) pairs.push(['CONFLICT', `boot ${agent.bootId} from ${agent.remoteAddress}, ${agent.agentVersion}, seen ${agent.seenAt}`]);
  if (conflict) pairs.push(['decide', `fairlead nodes accept ${host} --boot-id ID --reason TEXT, or fairlead nodes enroll ${host}`]);
  return pairs;
}

const releasesText = ({ releases }: Pick<FleetSession, 'releases'>): string => releases.map(({ product, releaseId, artifactRole, artifactProfile }) => `${product} ${releaseId ?? '(not seen whole)'}${artifactRole === null ? '' : ` ${artifactRole}/${artifactProfile ?? '-'}`}`).join(', ') || 'nothing';
