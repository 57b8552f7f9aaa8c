import type { Command } from 'commander';
import type { Host, HostDetail } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { renderPairs, renderTable } from '../table.ts';
import { fleetPairs, labelsText, registerFleetVerbs, registerLabel } from './fleet.ts';
import { registerNodesUpdate } from './nodes-update.ts';
import { apiCommand, everyHost } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerNodes(program: Command, context: Context): void {
  const nodes = program.command('nodes').description('the hosts that Fairlead deploys to');

  apiCommand(nodes.command('list').description('all hosts'), context, async (api, options: CommonOptions) => {
    const list = await everyHost(api);
    if (options.json) return printJson(context, list);
    const rows = list.hosts.flatMap((host) => {
      const start = [host.host, host.role, host.status, host.state?.since ?? '-'];
      const products = host.products.filter(({ state }) => state !== null);
      if (products.length === 0) return [[...start, '-', '-', '-', '-', host.lastSeenAt]];
      return products.map(({ product, state, intent }) => [...start, product, intent?.stranded ? 'STRANDED' : (state?.phase ?? '-'), state?.activeReleaseId ?? '-', state?.router === null || state?.router === undefined ? '-' : `127.0.0.1:${state.router.port}`, host.lastSeenAt]);
    });
    const pending = (list.pending ?? []).map(({ host, role, state }) => [host, role, state.phase, state.since, '-', '-', '-', '-', 'never']);
    context.out(renderTable(['HOST', 'ROLE', 'STATUS', 'SINCE', 'PRODUCT', 'PHASE', 'ACTIVE', 'ROUTER', 'SEEN'], [...rows, ...pending]));
    if (rows.length + pending.length === 0) context.note('no hosts');
  });

  registerNodesUpdate(nodes, context);

  apiCommand(nodes.command('show').description('one host with everything on it').argument('<host>'), context, async (api, options: CommonOptions, name: string) => {
    const host = await api.get<HostDetail>(`/api/hosts/${encodeURIComponent(name)}`);
    if (options.json) return printJson(context, host);
    context.out(renderHost(host));
  });

  registerFleetVerbs(nodes, context);
  registerLabel(nodes, context);
}

function renderHost(host: HostDetail): string {
  const head = renderPairs([
    ['host', `${host.host}, ${host.role}`],
    ['status', `${host.status}${host.state ? ` since ${host.state.since}` : ''}, seen ${host.lastSeenAt}, first seen ${host.firstSeenAt}`],
    ['labels', labelsText(host.labels)],
    ...fleetPairs(host),
    ['agent', `${host.agentVersion}, boot ${host.bootId}`],
  ]);
  const products = host.products.map(({ product, state, currentReleaseId, completeReleaseIds, intent, freeBytes, router, trustedKeyIds, sealingKey }) => {
    const pairs: [string, string][] = [
      ['phase', state?.phase ?? 'not installed'],
      ['active', `${state?.activeReleaseId ?? 'nothing'}${state !== null && state.activeReleaseId !== currentReleaseId ? ` (but current is ${currentReleaseId ?? 'nothing'})` : ''}`],
      ['last good', state?.lastGoodReleaseId ?? 'nothing'],
      ['failed', state === null || state.failedReleaseIds.length === 0 ? 'none' : state.failedReleaseIds.join(', ')],
      ['on disk', completeReleaseIds.join(', ') || 'none'],
      ['router', `${router}${state?.router ? `, http://127.0.0.1:${state.router.port}` : ''}`],
      ['free', `${(freeBytes / 1e9).toFixed(1)} GB`],
      ['trusts', trustedKeyIds.join(', ') || 'everybody: no publisher key is installed'],
      ['sealing key', sealingKey ?? 'none: its agent knows of none'],
    ];
    if (intent !== null) pairs.push([intent.stranded === null ? 'under way' : 'STRANDED', `${intent.runId} to ${intent.toReleaseId}, since ${intent.openedAt}${intent.stranded === null ? '' : `: ${intent.stranded.message}`}`]);
    const instances = Object.entries(state?.instances ?? {}).map(([name, { port, releaseId, admitted }]) => [`  ${name}`, String(port), releaseId, admitted ? 'yes' : 'no']);
    return `\n${product}\n${renderPairs(pairs, '  ')}${renderTable(['  INSTANCE', 'PORT', 'RELEASE', 'TRAFFIC'], instances)}${renderDrift(host, product)}`;
  });
  return head + products.join('');
}

/** What differs from what is meant, what becomes of it, and what was tried. Nothing where all is as it should be and nothing was tried. */
function renderDrift({ products, healing }: HostDetail, product: Host['products'][number]['product']): string {
  const inspection = products.find((each) => each.product === product);
  const tries = (healing?.tries ?? []).filter((each) => each.product === product);
  const triesOf = (kind: string, subject: string) => tries.filter((each) => each.kind === kind && each.subject === subject);
  const findings = (inspection?.drift ?? []).flatMap(({ kind, subject, since, message, hint }) => {
    const verdict = healing?.verdicts.find((each) => each.product === product && each.kind === kind && each.subject === subject);
    const becomes = verdict === undefined ? hint : verdict.verdict === 'person' ? `asks for a person: ${verdict.why}` : verdict.verdict === 'heal' ? 'a run is about to put it right' : `waits: ${verdict.why}`;
    return [`  ${kind} ${subject}, since ${since}`, `    ${message}`, ...triesOf(kind, subject).map((each) => `    ${tryText(each)}`), `    ${becomes}`, ...(becomes.includes(hint) ? [] : [`    ${hint}`])];
  });
  const gone = tries.filter(({ kind, subject }) => !(inspection?.drift ?? []).some((finding) => finding.kind === kind && finding.subject === subject));
  const lines = [
    ...(findings.length === 0 ? [] : [`  DRIFT${inspection?.healing === 'heal' ? '' : ' (this host only reports)'}`, ...findings]),
    ...(gone.length === 0 ? [] : ['  tried in the last 24 hours, and gone', ...gone.map((each) => `  ${each.kind === 'none' ? '' : `${each.kind} `}${each.subject}: ${tryText(each)}`)]),
  ];
  return lines.length === 0 ? '' : `\n${lines.join('\n')}\n`;
}

const tryText = ({ at, by, runId, outcome, note }: HostDetail['healing']['tries'][number]): string =>
  `tried at ${at}, ${by === 'host' ? `by the agent: ${note}` : `run ${runId ?? '(none)'}, outcome ${outcome ?? (runId === null ? `none: ${note}` : 'under way')}`}`;
