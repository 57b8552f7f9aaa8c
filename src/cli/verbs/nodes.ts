import type { Command } from 'commander';
import type { Host, HostList } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { renderPairs, renderTable } from '../table.ts';
import { apiCommand } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerNodes(program: Command, context: Context): void {
  const nodes = program.command('nodes').description('the hosts that Fairlead deploys to');

  apiCommand(nodes.command('list').description('all hosts'), context, async (api, options: CommonOptions) => {
    const list = await api.get<HostList>('/api/hosts');
    if (options.json) return printJson(context, list);
    const rows = list.hosts.flatMap((host) => {
      const start = [host.host, host.role, host.status];
      const products = host.products.filter(({ state }) => state !== null);
      if (products.length === 0) return [[...start, '-', '-', '-', '-', host.lastSeenAt]];
      return products.map(({ product, state, intent }) => [...start, product, intent?.stranded ? 'STRANDED' : (state?.phase ?? '-'), state?.activeReleaseId ?? '-', state?.router === null || state?.router === undefined ? '-' : `127.0.0.1:${state.router.port}`, host.lastSeenAt]);
    });
    context.out(renderTable(['HOST', 'ROLE', 'STATUS', 'PRODUCT', 'PHASE', 'ACTIVE', 'ROUTER', 'SEEN'], rows));
    if (rows.length === 0) context.note('no hosts');
  });

  apiCommand(nodes.command('show').description('one host with everything on it').argument('<host>'), context, async (api, options: CommonOptions, name: string) => {
    const host = await api.get<Host>(`/api/hosts/${encodeURIComponent(name)}`);
    if (options.json) return printJson(context, host);
    context.out(renderHost(host));
  });
}

function renderHost(host: Host): string {
  const head = renderPairs([
    ['host', `${host.host}, ${host.role}`],
    ['status', `${host.status}, seen ${host.lastSeenAt}, first seen ${host.firstSeenAt}`],
    ['agent', `${host.agentVersion}, boot ${host.bootId}`],
  ]);
  const products = host.products.map(({ product, state, currentReleaseId, completeReleaseIds, intent, freeBytes, router, trustedKeyIds }) => {
    const pairs: [string, string][] = [
      ['phase', state?.phase ?? 'not installed'],
      ['active', `${state?.activeReleaseId ?? 'nothing'}${state !== null && state.activeReleaseId !== currentReleaseId ? ` (but current is ${currentReleaseId ?? 'nothing'})` : ''}`],
      ['last good', state?.lastGoodReleaseId ?? 'nothing'],
      ['failed', state === null || state.failedReleaseIds.length === 0 ? 'none' : state.failedReleaseIds.join(', ')],
      ['on disk', completeReleaseIds.join(', ') || 'none'],
      ['router', `${router}${state?.router ? `, http://127.0.0.1:${state.router.port}` : ''}`],
      ['free', `${(freeBytes / 1e9).toFixed(1)} GB`],
      ['trusts', trustedKeyIds.join(', ') || 'everybody: no publisher key is installed'],
    ];
    if (intent !== null) pairs.push([intent.stranded === null ? 'under way' : 'STRANDED', `${intent.runId} to ${intent.toReleaseId}, since ${intent.openedAt}${intent.stranded === null ? '' : `: ${intent.stranded.message}`}`]);
    const instances = Object.entries(state?.instances ?? {}).map(([name, { port, releaseId, admitted }]) => [`  ${name}`, String(port), releaseId, admitted ? 'yes' : 'no']);
    return `\n${product}\n${renderPairs(pairs, '  ')}${renderTable(['  INSTANCE', 'PORT', 'RELEASE', 'TRAFFIC'], instances)}`;
  });
  return head + products.join('');
}
