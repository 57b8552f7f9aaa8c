import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { Rollout, RolloutAccepted, RolloutHost, RolloutHostList, RolloutBody } from '../../src/contract/index.ts';
import { cutDown } from './matrix-product.ts';
import { eventually } from './eventually.ts';
import { startStack, type Stack } from './stack.ts';

/** A stack whose first host is a controller, with what tests of rollouts ask of it. */
export interface Fleet extends Stack {
  readonly hosts: readonly string[];
  /** Publishes both artifacts of a release. Their instances may take long to start: those of many hosts start at once. @param faults of the instances, on every host */
  release(releaseId: string, faults?: Record<string, unknown>): Promise<void>;
  /** @returns the rollout's id */
  rollOut(releaseId: string, more?: Omit<Partial<RolloutBody>, 'hosts'> & { readonly hosts?: readonly string[] }): Promise<string>;
  rollout(id: string): Promise<Rollout>;
  rolloutHosts(id: string): Promise<readonly RolloutHost[]>;
  /** The rollout, once it has ended. */
  ended(id: string, limitMs?: number): Promise<Rollout>;
  /** Waits until the rollout is as `is` says. */
  until(id: string, what: string, is: (rollout: Rollout) => boolean, limitMs?: number): Promise<Rollout>;
  command(id: string, verb: string, body?: object): Promise<{ readonly status: number; readonly body: { readonly code?: string } }>;
}

/** Nothing waits for long: rollouts of tests bake for no time, and look for their hosts as soon as they are there. */
export const quickly = { bakeSeconds: 0, maxParallel: 3, verifySeconds: 60 } as const;

export async function startFleet(options: { readonly nodes: number } & Omit<NonNullable<Parameters<typeof startStack>[0]>, 'hosts' | 'controllers'>): Promise<Fleet> {
  const { nodes, ...rest } = options;
  const stack = await startStack({ ...rest, hosts: nodes + 1, controllers: 1 });
  const fleet: Fleet = {
    ...stack,
    hosts: stack.dev.summary.hosts.map(({ host }) => host),
    async release(releaseId, faults) {
      for (const role of ['controller', 'node']) {
        const edit = async (directory: string): Promise<void> => {
          await cutDown(directory);
          const file = join(directory, 'fairlead.yaml');
          await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('artifact: { role: node, profile: matrix }', `artifact: { role: ${role}, profile: ${role}-runtime }`).replace('startSeconds: 5', 'startSeconds: 30'));
        };
        await stack.publish(releaseId, { edit, format: role === 'controller' ? 'gz' : 'zst', ...(faults ? { faults } : {}) });
      }
    },
    async rollOut(releaseId, { strategy, ...more } = {}) {
      const answer = await stack.ask<RolloutAccepted>('POST', '/api/rollouts', { product: stack.product, releaseId, strategy: { ...quickly, ...strategy }, onHost: { bakeSeconds: 0 }, ...more });
      if (answer.status !== 202) throw new Error(`the rollout was not accepted: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.body.rolloutId;
    },
    rollout: async (id) => (await stack.ask<Rollout>('GET', `/api/rollouts/${id}`)).body,
    rolloutHosts: async (id) => (await stack.ask<RolloutHostList>('GET', `/api/rollouts/${id}/hosts`)).body.hosts,
    ended: (id, limitMs = 180_000) => fleet.until(id, 'has ended', ({ endedAt }) => endedAt !== null, limitMs),
    async until(id, what, is, limitMs = 120_000) {
      let last: Rollout | null = null;
      try {
        return await eventually(`rollout ${id} ${what}`, async () => {
          // A refusal (503 while the database is away) says nothing of the rollout.
          last = await stack.ask<Rollout>('GET', `/api/rollouts/${id}`).then(({ status, body }) => (status === 200 ? body : last), () => last);
          return last !== null && is(last) ? last : false;
        }, limitMs);
      } catch (error) {
        throw new Error(`rollout ${id} never was so: ${what}; it stands at ${JSON.stringify(last && { ...(last as Rollout).standing, outcome: (last as Rollout).outcome, reason: (last as Rollout).reason })}\n${stack.said.join('\n')}`, { cause: error });
      }
    },
    command: (id, verb, body = {}) => stack.ask('POST', `/api/rollouts/${id}/${verb}`, body),
  };
  return fleet;
}
