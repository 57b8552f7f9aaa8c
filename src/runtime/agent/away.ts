import { setTimeout as sleep } from 'node:timers/promises';
import { instanceRef, routerStateOf, specOf } from '../../../activities/host/instance-spec.ts';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import { probeNamed } from '../../../activities/host/proof.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { messagesOf } from '../../domain/failure.ts';
import { decideWhileAway, type AwayAction } from '../../domain/host/after-boot.ts';
import type { HostState } from '../../domain/host/state.ts';
import { ownProduct, type InstanceName, type ProductName } from '../../domain/ids.ts';
import { findInstance, instancesOf } from '../../domain/product/manifest.ts';
import { retell } from './boot.ts';
import type { ActJournal } from './acts.ts';
import type { CommandTraffic } from './traffic.ts';

interface Options {
  readonly host: HostDependencies;
  readonly traffic: CommandTraffic;
  readonly acts: ActJournal;
  readonly logger: PollerLogger;
  /** Runs work in turn with the commands of the product's runs. */
  readonly exclusively: <Result>(product: ProductName, work: () => Promise<Result>) => Promise<Result>;
  /** Whether control has answered this agent, and still does. */
  readonly heard: () => boolean;
}

const everyMs = 500;
/** Then whatever is not ready will not be, and the supervisor's reports take over. */
const longestMs = 15 * 60_000;

/**
 * Watches the products whose run is away after the agent's start, until they serve: an instance that does not get ready on the new release is put
 * back on the last good one, and where a service has nobody in the router, one that is ready is let in. Ends for a product with the first command of
 * a run. `decideWhileAway` decides; this only looks and acts.
 */
export function createAwayWatch({ host, traffic, acts, logger, exclusively, heard }: Options) {
  const stopping = new AbortController();
  let watching: Promise<unknown> = Promise.resolve();

  async function watch(product: ProductName): Promise<void> {
    // There the dead-man watches, and lets the run come back first.
    if (product === ownProduct && (await host.handover.isArmed())) return;
    const began = performance.now();
    const startedAt = new Map<InstanceName, number>();
    const putBack = new Set<InstanceName>();
    while (!stopping.signal.aborted && performance.now() - began < longestMs) {
      const commanded = traffic.count(product) > 0;
      const facts = commanded ? null : await look(product, began, startedAt);
      if (facts === null) return;
      const { actions, done } = decideWhileAway({ ...facts, putBack, elapsedMs: performance.now() - began, commanded, heard: heard() });
      if (done) return;
      for (const action of actions) {
        await exclusively(product, async () => {
          // A command may have come while this one waited for its turn: then the host is the run's again.
          if (traffic.count(product) > 0) return;
          if (action.do === 'put_back') {
            putBack.add(action.instance);
            await putInstanceBack(product, action);
            startedAt.set(action.instance, performance.now());
          } else {
            await admit(product, action.instance);
          }
        });
      }
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  async function look(product: ProductName, began: number, startedAt: ReadonlyMap<InstanceName, number>) {
    const { store, releases } = host;
    const [state, intent, complete] = [await store.readState(product), await store.readIntent(product), await releases.listComplete(product)];
    if (state === null || intent === null) return null;
    const looked = await Promise.all(
      (Object.keys(state.instances) as InstanceName[]).map(async (name) => [name, { ...(await ask(product, state, name)), startedMsAgo: performance.now() - (startedAt.get(name) ?? began) }] as const),
    );
    const good = state.lastGoodReleaseId;
    const colours = ['blue', 'green'] as const;
    const manifest = good !== null && complete.includes(good) ? await releases.readManifest(product, good) : null;
    const lastGoodInstances = manifest === null ? [] : colours.flatMap((colour) => instancesOf(manifest, state.phase, colour).map(({ name }) => name));
    return { state, intent, complete, instances: Object.fromEntries(looked) as Parameters<typeof decideWhileAway>[0]['instances'], lastGoodInstances };
  }

  async function ask(product: ProductName, state: HostState, name: InstanceName): Promise<{ ready: boolean; startSeconds: number }> {
    const entry = state.instances[name];
    const manifest = entry ? await host.releases.readManifest(product, entry.releaseId).catch(() => null) : null;
    const service = manifest ? findInstance(manifest, name)?.service : undefined;
    if (!entry || !manifest || !service) return { ready: false, startSeconds: 0 };
    const { passed } = await host.probe.ask(probeNamed(manifest, service.probes.ready), { name, port: entry.port }, entry.releaseId, stopping.signal);
    return { ready: passed, startSeconds: service.startSeconds };
  }

  async function putInstanceBack(product: ProductName, { instance, releaseId }: Extract<AwayAction, { do: 'put_back' }>): Promise<void> {
    const { root, store, releases, services } = host;
    const state = await store.readState(product);
    const entry = state?.instances[instance];
    if (!state || !entry) return;
    const ref = instanceRef(product, instance, state);
    const status = await services.status(ref);
    // The agent cannot put itself back: its dead-man does that.
    if (product === ownProduct && host.handover.isSelf(status.pid) && (status.releaseId !== releaseId || entry.releaseId === releaseId)) return;
    const note = entry.releaseId === releaseId ? `started on ${releaseId} again` : `${entry.releaseId} was not ready in time and its run is away; started on ${releaseId}`;
    await acts.note(product, { act: 'put_back', kind: null, subject: instance, note });
    const spec = specOf(root, await releases.readManifest(product, releaseId), instance, entry.port);
    await retell(host, state, instance, releaseId);
    // One that was taken back by it runs already, and only the state does not say so.
    if (entry.releaseId === releaseId || status.releaseId !== releaseId) await services.stop({ ...ref, stopSignal: spec.stopSignal, stopSeconds: spec.stopSeconds }, stopping.signal);
    await services.start(spec);
    logger.warn({ product, instance, releaseId, before: entry.releaseId }, 'an instance was not ready in time while its run is away; it is back on the last good release');
  }

  async function admit(product: ProductName, instance: InstanceName): Promise<void> {
    const { root, store, releases, router, now } = host;
    const state = await store.readState(product);
    const entry = state?.instances[instance];
    if (!state || !entry || entry.admitted) return;
    await acts.note(product, { act: 'admitted', kind: null, subject: instance, note: `nobody else of ${entry.service} was in the router, and its run is away` });
    const next = { ...state, instances: { ...state.instances, [instance]: { ...entry, admitted: true } }, updatedAt: now().toISOString() };
    await store.writeState(next);
    const declaring = (await releases.current(product).catch(() => null)) ?? state.activeReleaseId;
    const wanted = declaring === null ? null : routerStateOf(root, next, await releases.readManifest(product, declaring));
    if (wanted) await router.apply(wanted);
    logger.warn({ product, instance, releaseId: entry.releaseId }, 'let an instance into the router: its service had nobody there, and its run is away');
  }

  return {
    async start(): Promise<void> {
      const products = await host.store.products().catch(() => []);
      watching = Promise.all(
        products.map((product) =>
          watch(product).catch((error: unknown) => {
            if (!stopping.signal.aborted) logger.error({ product, error: messagesOf(error).join(': ') }, 'could not watch a product whose run is away');
          }),
        ),
      );
    },
    async stop(): Promise<void> {
      stopping.abort();
      await watching;
    },
    /** Resolves when there is nothing left to watch. */
    ended: (): Promise<unknown> => watching,
  };
}
