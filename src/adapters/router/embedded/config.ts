import { createHash } from 'node:crypto';
import type { RouterState, RouterTls } from '../../../ports/router.ts';
import { wholePercent, type RouterSplit } from '../split.ts';

/** What the router process is told: one JSON document, in its file and over its admin socket. */
export interface RouterConfig {
  /** 2 where there is a split, 3 where there is TLS or challenges: a router process that was started before it could do that refuses it, instead of leaving it out. */
  readonly schema: 1 | 2 | 3;
  /** Digest of the rest: whoever asks which configuration serves compares this. */
  readonly generation: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Longest path first. */
  readonly routes: readonly { readonly path: string; readonly service: string }[];
  readonly members: readonly { readonly service: string; readonly instance: string; readonly port: number; readonly admitted: boolean }[];
  /** Left out where there is none. `percent` is whole. */
  readonly split?: RouterSplit;
  /** Left out: plain HTTP only. */
  readonly tls?: RouterTls;
  /** The folder of challenges; left out: they are requests like any other. */
  readonly webroot?: string;
}

/** Pure: the configuration for a state. The nginx include of the declaration is nginx's own and is not read. */
export function configOf(state: RouterState, host: string, webroot = ''): RouterConfig {
  const rest = {
    listen: { host, port: state.port },
    routes: state.declaration.routes.map(({ path, service }) => ({ path, service: String(service) })).sort((a, b) => b.path.length - a.path.length || (a.path < b.path ? -1 : 1)),
    members: state.members
      .map(({ service, instance, port, admitted }) => ({ service: String(service), instance: String(instance), port, admitted }))
      .sort((a, b) => (a.instance < b.instance ? -1 : 1)),
    ...(state.split === null ? {} : { split: { to: state.split.to.map(String).sort(), percent: wholePercent(state.split.percent) } }),
    ...(state.tls ? { tls: state.tls } : {}),
    ...(state.challenges ? { webroot } : {}),
  };
  return { schema: state.tls || state.challenges ? 3 : state.split === null ? 1 : 2, generation: createHash('sha256').update(JSON.stringify(rest)).digest('hex').slice(0, 16), ...rest };
}

/** Pure: the text of the configuration's file. */
export function textOf(config: RouterConfig): string {
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Reads a configuration that came from a file or a socket. @throws Error that says which part is wrong. */
export function parseConfig(text: string): RouterConfig {
  const config = JSON.parse(text) as RouterConfig;
  const demand = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`the router's configuration is wrong: ${what}`);
  };
  const isPort = (port: unknown) => Number.isInteger(port) && (port as number) > 0 && (port as number) < 65_536;
  demand([1, 2, 3].includes(config?.schema), `schema is ${JSON.stringify(config?.schema)}, this router reads 1 to 3`);
  demand(typeof config.generation === 'string', 'generation is missing');
  demand(typeof config.listen?.host === 'string' && isPort(config.listen.port), 'listen needs host and port');
  demand(Array.isArray(config.routes), 'routes is no list');
  demand(Array.isArray(config.members), 'members is no list');
  for (const route of config.routes) demand(typeof route.path === 'string' && route.path.startsWith('/') && typeof route.service === 'string', `route ${JSON.stringify(route)}`);
  for (const member of config.members) demand(typeof member.instance === 'string' && typeof member.service === 'string' && isPort(member.port) && typeof member.admitted === 'boolean', `member ${JSON.stringify(member)}`);
  if (config.split !== undefined) {
    const { to, percent } = config.split;
    demand(Array.isArray(to) && to.every((name) => typeof name === 'string') && Number.isInteger(percent) && percent >= 0 && percent <= 100, `split ${JSON.stringify(config.split)}`);
  }
  if (config.tls !== undefined) {
    const { directory, ports, names } = config.tls;
    demand(typeof directory === 'string' && Array.isArray(ports) && ports.length > 0 && ports.every(isPort) && Array.isArray(names), `tls ${JSON.stringify(config.tls)}`);
  }
  demand(new Set(config.members.map((member) => member.instance)).size === config.members.length, 'an instance is named twice');
  return config;
}
