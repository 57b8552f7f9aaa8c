import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import type { HostDependencies } from '../../../activities/host/dependencies.ts';
import type { PollerLogger } from '../../adapters/temporal/activity-poller.ts';
import { messagesOf } from '../../domain/failure.ts';
import { findDrift, isUnderWay, type Finding, type Seen } from '../../domain/host/drift.ts';
import type { HealingPolicy } from '../../domain/host/healing.ts';
import type { HostState, Intent } from '../../domain/host/state.ts';
import type { ProductName, RunId } from '../../domain/ids.ts';
import type { ActJournal } from './acts.ts';
import type { Sight } from './sight.ts';
import type { CommandTraffic } from './traffic.ts';

interface Options {
  readonly host: HostDependencies;
  readonly sight: Sight;
  readonly traffic: CommandTraffic;
  readonly acts: ActJournal;
  readonly everyMs: number;
  readonly policy: HealingPolicy;
  readonly logger: PollerLogger;
  /** Runs work in turn with the commands of the product's runs. */
  readonly exclusively: <Result>(product: ProductName, work: () => Promise<Result>) => Promise<Result>;
  /** Runs of which control has said that they ended. */
  readonly endedRuns: ReadonlySet<RunId>;
  /** Something was found or is gone, or was done: control should hear of it. */
  readonly tell: () => void;
}

export interface Supervisor {
  start(): void;
  /** Resolves when nothing of it is at work any more. */
  stop(): Promise<void>;
  /** What the last look found. */
  findings(product: ProductName): readonly Finding[];
  /** Looks now and tells nobody: what a run plans from. */
  look(product: ProductName): Promise<readonly Finding[]>;
}

/**
 * Looks every so often whether the host still is what it is meant to be, remembers since when it is not, says each difference once when it comes and
 * once when it goes, and tightens the modes of configuration files. Everything that touches what serves is a run's business: control decides by policy
 * whether one is started. The loop never overlaps itself, and outlives every failure in it.
 */
export function createSupervisor(options: Options): Supervisor {
  const { host, sight, traffic, acts, everyMs, policy, logger, exclusively, endedRuns, tell } = options;
  const known = new Map<ProductName, readonly Finding[]>();
  const givenUp = new Set<string>();
  let timer: NodeJS.Timeout | null = null;
  let looking: Promise<void> | null = null;
  let stopped = false;
  let lastFailure = '';
  let confirming = false;

  async function look(product: ProductName): Promise<Finding[]> {
    const commands = traffic.count(product);
    const memory = await readMemory(host, product);
    const seen: Seen = { ...(await sight(product, memory.state)), memory: memory.failure };
    const after = await readMemory(host, product);
    // What changed while it was looked at was changed by a run: the next look tells.
    const moved = traffic.isBusy(product) || traffic.count(product) !== commands || JSON.stringify(after) !== JSON.stringify(memory);
    const runUnderWay = moved || isUnderWay(memory.intent, memory.fence, endedRuns, traffic.silentMs(product));
    return findDrift({ state: memory.state, intent: memory.intent, runUnderWay }, seen, known.get(product) ?? [], host.now().toISOString());
  }

  async function lookAt(product: ProductName): Promise<boolean> {
    const before = known.get(product) ?? [];
    const found = await look(product);
    const { healed, left } = await healSelf(product, found);
    known.set(product, left);
    const isIn = (list: readonly Finding[], { kind, subject }: Finding) => list.some((other) => other.kind === kind && other.subject === subject);
    const appeared = left.filter((finding) => !isIn(before, finding));
    const gone = before.filter((finding) => !isIn(left, finding));
    for (const { kind, subject, expected, seen, message, heal } of appeared) logger.warn({ product, kind, subject, expected, seen, heal }, `drift: ${message}`);
    for (const { kind, subject, since } of gone) logger.info({ product, kind, subject, since }, 'drift is gone');
    return appeared.length + gone.length + healed > 0;
  }

  async function healSelf(product: ProductName, found: readonly Finding[]): Promise<{ healed: number; left: Finding[] }> {
    const isGivenUp = (finding: Finding) => givenUp.has(nameOf(product, finding));
    const mine = policy === 'heal' && !traffic.isBusy(product) ? found.filter((finding) => finding.kind === 'config_mode' && !isGivenUp(finding)) : [];
    const done = new Set<Finding>();
    for (const finding of mine) {
      try {
        await exclusively(product, async () => {
          await tighten(finding.subject, () => acts.note(product, { act: 'healed', kind: finding.kind, subject: finding.subject, note: `mode ${finding.seen} -> 0600` }));
        });
        done.add(finding);
        logger.warn({ product, path: finding.subject, mode: finding.seen }, 'a configuration file could be read or changed by others; its mode is 0600 again');
      } catch (error) {
        // It stays among the findings, for a person, and is not tried with every look.
        givenUp.add(nameOf(product, finding));
        logger.error({ product, path: finding.subject, error: messagesOf(error).join(': ') }, 'could not put the mode of a configuration file right');
      }
    }
    return { healed: done.size, left: found.filter((finding) => !done.has(finding)).map((finding) => (isGivenUp(finding) ? { ...finding, heal: 'person' } : finding)) };
  }

  async function round(): Promise<void> {
    try {
      const products = await host.store.products();
      for (const product of known.keys()) if (!products.includes(product)) known.delete(product);
      let changed = false;
      for (const product of products) {
        if (stopped) return;
        changed = (await lookAt(product)) || changed;
      }
      // What is new is told a second time after the next look: control acts on what it was told twice.
      if (changed || confirming) tell();
      confirming = changed;
      lastFailure = '';
    } catch (error) {
      const failure = messagesOf(error).join(': ');
      if (failure !== lastFailure) logger.error({ error: failure }, 'could not look whether the host is what it is meant to be; trying again');
      lastFailure = failure;
    }
  }

  function next(waitMs: number): void {
    if (stopped) return;
    timer = setTimeout(() => {
      timer = null;
      looking = round().finally(() => {
        looking = null;
        next(everyMs);
      });
    }, waitMs);
  }

  return {
    // Not at once: what has just been started gets a moment, and so does the rest of the agent.
    start: () => next(Math.min(everyMs, 5_000)),
    async stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
      await looking;
    },
    findings: (product) => known.get(product) ?? [],
    look,
  };
}

interface Memory {
  readonly state: HostState | null;
  readonly intent: Intent | null;
  readonly fence: { readonly fence: number; readonly runId: RunId } | null;
  readonly failure: string | null;
}

async function readMemory({ store }: HostDependencies, product: ProductName): Promise<Memory> {
  try {
    return { state: await store.readState(product), intent: await store.readIntent(product), fence: await store.readFence(product), failure: null };
  } catch (error) {
    return { state: null, intent: null, fence: null, failure: messagesOf(error).join(': ') };
  }
}

const nameOf = (product: ProductName, { kind, subject, since }: Finding): string => [product, kind, subject, since].join('\0');

/** A symbolic link is refused: what it leads to may be none of ours. @param note writes down what is about to be done */
async function tighten(path: string, note: () => Promise<void>): Promise<void> {
  const handle = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await note();
    await handle.chmod(0o600);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
