import * as fs from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { routerFiles } from '../../adapters/router/embedded/commands.ts';
import { configOf } from '../../adapters/router/embedded/config.ts';
import type { RouterStatus } from '../../adapters/router/embedded/server.ts';
import { wayTarget } from '../../adapters/router/nginx/commands.ts';
import { nginxFiles } from '../../adapters/router/nginx/layout.ts';
import { parseStatus } from '../../adapters/router/nginx/parse.ts';
import { chosenWays } from '../../adapters/router/nginx/pools.ts';
import { askUnixSocket } from '../../adapters/router/unix-socket.ts';
import type { Seen } from '../../domain/host/drift.ts';
import type { Router, RouterState } from '../../ports/router.ts';

export type RouterSight = (wanted: RouterState) => Promise<Seen['router']>;

const askLimitMs = 2_000;

/** Looks at a router without touching it: whether it answers, and whether what it serves is what the state says. */
export function createRouterSight({ root, kind, listenAddress }: { root: string; kind: Router['kind']; listenAddress: string }): RouterSight {
  return kind === 'embedded' ? (wanted) => lookAtEmbedded(root, listenAddress, wanted) : (wanted) => lookAtNginx(root, wanted);
}

async function lookAtEmbedded(root: string, listenAddress: string, wanted: RouterState): Promise<Seen['router']> {
  const answer = await ask(routerFiles(root, wanted.product).adminSocket, '/status');
  if (answer === null) return { status: 'dead', detail: 'its admin socket does not answer' };
  const served = (JSON.parse(answer) as RouterStatus).generation;
  const meant = configOf(wanted, listenAddress, routerFiles(root, wanted.product).webroot).generation;
  return served === meant ? serves : { status: 'differs', detail: `it serves configuration ${served || '(none)'} where ${meant} is meant` };
}

async function lookAtNginx(root: string, wanted: RouterState): Promise<Seen['router']> {
  const files = nginxFiles(root, wanted.product);
  const answer = await ask(files.statusSocket, '/');
  if (answer === null) return { status: 'dead', detail: 'its status socket does not answer' };
  const served = parseStatus(answer)?.generation ?? '';
  const named = basename(dirname((await readLink(files.active)) ?? ''));
  if (served !== named) return { status: 'differs', detail: `it serves generation ${served || '(none)'} where ${named || '(none)'} is in place` };
  for (const way of chosenWays(files.directory, wanted)) {
    const target = await readLink(files.link(served, way.service));
    if (target === wayTarget(way)) continue;
    const meant = [...new Set(way.slots.flatMap((pool) => pool?.members.map(({ instance }) => instance) ?? []))].sort().join(', ') || 'nobody';
    return { status: 'differs', detail: `requests for ${way.service} go to ${target ?? 'nothing'} where ${meant} should get them` };
  }
  return serves;
}

const serves: Seen['router'] = { status: 'serves', detail: 'serves what the state says' };

/** Asked twice: a router that is busy is not dead. */
async function ask(socket: string, path: string): Promise<string | null> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const { status, body } = await askUnixSocket(socket, { path, timeoutMs: askLimitMs });
      if (status === 200) return body;
    } catch {
      // No answer is the answer.
    }
  }
  return null;
}

const readLink = (path: string): Promise<string | null> => fs.readlink(path).catch(() => null);
