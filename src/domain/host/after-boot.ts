import type { InstanceName, ReleaseId, ServiceName } from '../ids.ts';
import type { InstanceSight } from './drift.ts';
import type { HostState, Intent } from './state.ts';

/** What lies on the disk and what runs, when an agent starts. */
export interface BootFacts {
  readonly state: HostState | null;
  readonly intent: Intent | null;
  /** The complete release that `current` leads to; null where it leads to none. */
  readonly current: ReleaseId | null;
  readonly complete: readonly ReleaseId[];
  readonly instances: Readonly<Record<InstanceName, InstanceSight>>;
}

/** How far the run had come, as far as the disk can tell. */
export type BootSituation =
  /** No intent: the state is what should run. */
  | 'settled'
  /** An intent, and nothing that serves was changed. */
  | 'untouched'
  /** `current` and the state name the new release; some instances may run it. */
  | 'forward'
  /** The old release is active again, and some instances still were on the new one. */
  | 'back'
  | 'stranded'
  /** Nothing is installed, or no release is active. */
  | 'nothing';

export interface BootDecision {
  readonly situation: BootSituation;
  /** Instances to start at once. `retold`: on another release than the state names, so that the state is written first. */
  readonly starts: readonly { readonly instance: InstanceName; readonly releaseId: ReleaseId; readonly retold: boolean }[];
  /** Instances that cannot be started, and why. */
  readonly stuck: readonly { readonly instance: InstanceName; readonly why: string }[];
  /** The release whose declaration the router follows; null where there is none to serve. */
  readonly routerRelease: ReleaseId | null;
}

/**
 * Decides what an agent starts before it has heard of anyone. Pure. Docs: `docs/decisions/0007-after-a-power-cut.md` has the table.
 *
 * Every dead instance is started on the release that it was last told to run, with two exceptions: on the way back one that was still on the
 * new release is started on the old one, and one whose release is not complete (any more) is started on the last good one. While a run is under
 * way and others of the product still run, a dead instance is the run's business: it may have died of the new release.
 */
export function decideAfterBoot({ state, intent, current, complete, instances }: BootFacts): BootDecision {
  const situation = situationOf(state, intent);
  if (state === null || situation === 'nothing') return { situation, starts: [], stuck: [], routerRelease: null };
  const entries = Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][];
  const dead = entries.filter(([name]) => isDead(instances[name]));
  const wanted = intent !== null && dead.length < entries.length ? [] : dead;
  const starts: BootDecision['starts'][number][] = [];
  const stuck: BootDecision['stuck'][number][] = [];
  const good = state.lastGoodReleaseId;
  for (const [instance, entry] of wanted) {
    const goesBack = situation === 'back' && intent !== null && wasThere(intent, instance) && entry.releaseId === intent.toReleaseId && intent.fromReleaseId !== null;
    const first = goesBack ? intent.fromReleaseId : entry.releaseId;
    const releaseId = [first, entry.releaseId, good].find((id): id is ReleaseId => id !== null && complete.includes(id));
    if (releaseId === undefined) stuck.push({ instance, why: `neither ${entry.releaseId} nor the last good release ${good ?? '(none)'} is complete here` });
    else starts.push({ instance, releaseId, retold: releaseId !== entry.releaseId });
  }
  // Where somebody has broken `current`, the instances still run from their releases, and clients need the router.
  const routerRelease = [current, state.activeReleaseId, good].find((id): id is ReleaseId => id !== null && complete.includes(id)) ?? null;
  return { situation, starts, stuck, routerRelease };
}

function situationOf(state: HostState | null, intent: Intent | null): BootSituation {
  if (state === null || state.activeReleaseId === null) return 'nothing';
  if (intent === null) return 'settled';
  if (intent.stranded !== null) return 'stranded';
  const { fromReleaseId: from, toReleaseId: to } = intent;
  if (from === to) return 'untouched';
  if (state.activeReleaseId === to) return 'forward';
  const entries = Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][];
  return entries.some(([name, { releaseId }]) => releaseId === to && wasThere(intent, name)) ? 'back' : 'untouched';
}

/**
 * Whether the host had the instance before the run. One that the run has brought up beside the others never ran the old release: there is no way back for it,
 * and that it runs the new one says nothing of the direction.
 */
const wasThere = ({ instancesBefore }: Intent, name: InstanceName): boolean => instancesBefore === undefined || instancesBefore.includes(name);

const isDead = (sight: InstanceSight | undefined): boolean => sight?.status === 'inactive' || sight?.status === 'failed';

/** What is known while an agent waits for the run that its intent names. */
export interface AwayFacts {
  readonly state: HostState | null;
  readonly intent: Intent | null;
  readonly complete: readonly ReleaseId[];
  /** Of each instance: whether it answers its ready probe on the release that it was told to run, how long it may take, and how long it had. */
  readonly instances: Readonly<Record<InstanceName, { readonly ready: boolean; readonly startSeconds: number; readonly startedMsAgo: number }>>;
  /** Instances that the last good release declares. */
  readonly lastGoodInstances: readonly InstanceName[];
  /** Instances that were put back before, in this wait. */
  readonly putBack: ReadonlySet<InstanceName>;
  /** Since the agent has brought everything up. */
  readonly elapsedMs: number;
  /** Whether a command of any run has come since the agent's start. */
  readonly commanded: boolean;
  /** Whether control hears this host. Its run then comes by itself, and gets time to. */
  readonly heard: boolean;
}

export type AwayAction =
  /** Stop it if it runs, and start it on the last good release. */
  | { readonly do: 'put_back'; readonly instance: InstanceName; readonly releaseId: ReleaseId }
  /** Let the router send it requests: nobody else of its service gets them. */
  | { readonly do: 'admit'; readonly instance: InstanceName };

/** A run whose agent was away comes back within this long: a heartbeat limit, a wait for the next attempt, and room. */
export const runReturnsMs = 60_000;

/**
 * Decides what the host does by itself while the run that it was changed by stays away. Pure. From the first command of a run on it does nothing:
 * the run finds in its activities what was done here, and goes on or back from there.
 *
 * `done`: there is nothing left to wait for.
 */
export function decideWhileAway(facts: AwayFacts): { readonly actions: readonly AwayAction[]; readonly done: boolean } {
  const { state, intent, commanded, heard, elapsedMs } = facts;
  if (state === null || intent === null || intent.stranded !== null || commanded) return { actions: [], done: true };
  const patienceMs = heard ? runReturnsMs : 0;
  const entries = Object.entries(state.instances) as [InstanceName, HostState['instances'][InstanceName]][];
  const isReady = (name: InstanceName) => facts.instances[name]?.ready ?? false;
  const isOverdue = (name: InstanceName) => elapsedMs >= patienceMs && (facts.instances[name]?.startedMsAgo ?? elapsedMs) >= 1000 * (facts.instances[name]?.startSeconds ?? 0);
  const good = state.lastGoodReleaseId;
  const goesBack = situationOf(state, intent) === 'back';
  const actions: AwayAction[] = [];
  let waiting = false;

  for (const service of new Set(entries.map(([, entry]) => entry.service)) as Set<ServiceName>) {
    const own = entries.filter(([, entry]) => entry.service === service);
    const isServed = own.some(([name, { admitted }]) => admitted && isReady(name));
    let mayStillServe = false;
    for (const [instance, entry] of own) {
      // On the way back the new release is not what clients should get, ready or not; while a twin serves it can wait for the run.
      const unwanted = goesBack && entry.releaseId === intent.toReleaseId && !isServed;
      if (isReady(instance) && !unwanted) continue;
      const canGoBack = good !== null && facts.complete.includes(good) && facts.lastGoodInstances.includes(instance) && wasThere(intent, instance) && !facts.putBack.has(instance) && good !== intent.toReleaseId;
      if (!canGoBack) {
        waiting ||= !isOverdue(instance);
      } else if (unwanted ? elapsedMs >= patienceMs : isOverdue(instance)) {
        actions.push({ do: 'put_back', instance, releaseId: good });
        waiting = true;
      } else {
        waiting = true;
      }
      if (entry.admitted && !isOverdue(instance)) mayStillServe = true;
    }
    if (isServed) continue;
    const ready = own.filter(([name, { admitted, releaseId }]) => !admitted && isReady(name) && !(goesBack && releaseId === intent.toReleaseId)).map(([name]) => name);
    if (ready.length > 0 && !mayStillServe && elapsedMs >= patienceMs) actions.push(...ready.map((instance): AwayAction => ({ do: 'admit', instance })));
    if (ready.length > 0) waiting = true;
  }
  return { actions, done: !waiting && actions.length === 0 };
}
