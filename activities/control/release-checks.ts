import { createHash } from 'node:crypto';
import type { ArtifactRef } from '../../src/domain/bundle/artifact.ts';
import { hostWorkflowId, prefetchWorkflowId, rolloutIdOfDigest, type HostId, type ProductName, type ReleaseId, type RolloutId } from '../../src/domain/ids.ts';
import { decideCheck, type CheckDecision, type OwnRollout } from '../../src/domain/release-check/decide.ts';
import { policyOf, type UpdatePolicy } from '../../src/domain/release-check/policy.ts';
import { freezeOf, type Freeze } from '../../src/domain/rollout/freeze.ts';
import { rolloutRequest } from '../../src/domain/rollout/request.ts';
import type { RolloutInput } from '../../src/domain/rollout/names.ts';
import type { PrefetchEnd, PrefetchRequest } from '../../src/domain/update/prefetch.ts';
import type { UpdateRequest } from '../../src/domain/update/request.ts';
import type { Calendar } from '../../src/ports/calendar.ts';
import type { AuditLog, HostRegistry, HostRow, PublishedRelease, ReleaseCatalog, RunStore } from '../../src/ports/control-stores.ts';
import type { RolloutStore } from '../../src/ports/rollout-store.ts';
import type { UpdatePolicyStore } from '../../src/ports/update-policies.ts';

interface Dependencies {
  readonly policies: UpdatePolicyStore;
  readonly releases: ReleaseCatalog;
  readonly hosts: HostRegistry;
  readonly runs: RunStore;
  readonly rollouts: RolloutStore;
  readonly audit: AuditLog;
  readonly calendar: Calendar;
  readonly now: () => Date;
}

/** A bundle that a host is to fetch before anybody asks for the update. */
export interface Prefetch {
  readonly host: HostId;
  readonly product: ProductName;
  readonly artifact: ArtifactRef;
}

/** What a check has come to. Hosts that are current, and those of which something was only noted, are counts: a fleet has thousands. */
export interface CheckOutcome {
  readonly looked: number;
  readonly current: number;
  readonly noted: number;
  readonly updates: readonly UpdateRequest[];
  readonly rollouts: readonly RolloutInput[];
  readonly downloads: readonly Prefetch[];
}

/** Whom runs and rollouts name that the check began. */
const actor = 'schedule';
/** Of each kind, in one check: what is left is done by the next one. */
const mostActs = 200;
const mostReleases = 200;

interface Decided {
  readonly row: HostRow;
  readonly product: ProductName;
  readonly releaseId: ReleaseId;
  readonly decision: Exclude<CheckDecision, { kind: 'current' }>;
  /** Whether the policy that decided is that of the whole product. */
  readonly fleetWide: boolean;
  readonly channel: UpdatePolicy['channel'];
}

/** What the release check needs of control: it decides over what is known of hosts and releases, and writes down what it found. */
export function createReleaseCheckActivities({ policies, releases, hosts, runs, rollouts, audit, calendar, now }: Dependencies) {
  async function ownRolloutOf(rolloutId: RolloutId): Promise<OwnRollout | null> {
    const row = await rollouts.find(rolloutId);
    if (row === null) return null;
    return row.endedAt === null ? 'open' : row.outcome === 'succeeded' ? 'succeeded' : 'failed';
  }

  async function decideHost(row: HostRow, product: ProductName, published: readonly PublishedRelease[], all: readonly UpdatePolicy[], freezes: readonly Freeze[], busy: ReadonlySet<string>): Promise<Decided | null> {
    const at = now().toISOString();
    const inspection = row.products.find((each) => each.product === product);
    const policy = policyOf(all, row.host, product);
    const fleetWide = policy.host === null;
    const ofRole = published.filter(({ role }) => role === row.role).map(({ releaseId, channel, signature }) => ({ releaseId, channel, signedBy: signature?.keyId ?? null }));
    const host = {
      host: row.host,
      status: row.status,
      activeReleaseId: inspection?.state?.activeReleaseId ?? null,
      failedReleaseIds: inspection?.state?.failedReleaseIds ?? [],
      stranded: (inspection?.intent?.stranded ?? null) !== null,
      busy: busy.has(hostWorkflowId(row.host, product)),
      lastTriedReleaseId: null,
      trustedKeyIds: inspection?.trustedKeyIds ?? [],
    };
    const world = { policy, windows: policy.windows.map((window) => calendar.windowAt(window, at)), freeze: freezeOf(freezes, product, at), ownRollout: null };
    let decision = decideCheck(host, ofRole, world);
    // What takes a question of its own is asked only where it matters.
    if (decision.kind === 'apply') {
      const [lastTry] = await runs.list({ host: row.host, product, kind: 'update-apply', limit: 1 });
      const ownRollout = fleetWide ? await ownRolloutOf(rolloutIdOf(product, decision.releaseId)) : null;
      decision = decideCheck({ ...host, lastTriedReleaseId: lastTry?.toReleaseId ?? null }, ofRole, { ...world, ownRollout });
    }
    return decision.kind === 'current' ? null : { row, product, releaseId: decision.releaseId, decision, fleetWide, channel: policy.channel };
  }

  return {
    /**
     * Looks at every product of every host, writes down once for each release what was found (`release.available`) and what is begun (`update.due`), and says what is to be
     * begun. Hosts under the policy of a whole product come to the release by one rollout, the first time; a host with a policy of its own, by an update of its own.
     */
    async checkReleases(): Promise<CheckOutcome> {
      const at = now().toISOString();
      const [all, rows, freezes] = await Promise.all([policies.list(), hosts.list(), rollouts.freezes(at)]);
      const open = new Set((await runs.list({ open: true, limit: 5_000 })).map(({ workflowId }) => workflowId));
      const published = new Map<ProductName, PublishedRelease[]>();
      const found: Decided[] = [];
      let looked = 0;
      for (const row of rows) {
        for (const { product } of row.products) {
          looked += 1;
          if (!published.has(product)) published.set(product, await releases.list({ product, limit: mostReleases }));
          const decided = await decideHost(row, product, published.get(product) ?? [], all, freezes, open);
          if (decided !== null) found.push(decided);
        }
      }
      // Asked for together, so that the chain takes them in few transactions: there is a row for every host.
      await Promise.all(
        found.flatMap(({ row, product, releaseId, decision, channel }) => {
          const subject = hostWorkflowId(row.host, product);
          const detail = { releaseId, channel, decision: decision.kind, why: decision.kind === 'note' ? decision.why : null, until: decision.kind === 'note' ? decision.until : null };
          const events = decision.kind === 'apply' ? ['release.available', 'update.due'] : ['release.available'];
          return events.map((event) => audit.append({ at, event, actor, subject, runId: null, detail }, `${event}:${subject}:${releaseId}`));
        }),
      );
      const [fleetWide, alone] = await divide(found.filter(({ decision }) => decision.kind === 'apply'));
      return {
        looked,
        current: looked - found.length,
        noted: found.filter(({ decision }) => decision.kind === 'note').length,
        updates: alone.slice(0, mostActs).map(({ row, product, releaseId }) => ({ host: row.host, product, releaseId, strategy: 'rolling', requestedBy: actor, requestId: `check-${releaseId}-${row.host}` })),
        rollouts: [...Map.groupBy(fleetWide, ({ product, releaseId }) => rolloutIdOf(product, releaseId))].map(([rolloutId, members]) => ({
          rolloutId,
          request: rolloutRequest({ product: members[0]!.product, releaseId: members[0]!.releaseId, target: { kind: 'hosts', hosts: members.map(({ row }) => row.host) }, requestedBy: actor, requestId: `check-${rolloutId}` }),
          requestedAt: at,
        })),
        downloads: await artifactsOf(found.filter(({ decision }) => decision.kind === 'download').slice(0, mostActs)),
      };
    },

    /** The audit row of what came of a bundle that was to be brought to a host ahead of its update. */
    async notePrefetch({ request, end, execution }: { readonly request: PrefetchRequest; readonly end: PrefetchEnd; readonly execution: string }): Promise<void> {
      const { host, product, artifact, requestedBy, requestId } = request;
      const { releaseId, sha256 } = artifact;
      await audit.append({ at: now().toISOString(), event: 'download.ended', actor: 'fairlead', subject: prefetchWorkflowId(host, product), runId: null, detail: { releaseId, sha256, requestedBy, requestId, ...end } }, `download.ended:${execution}`);
    },
  };

  /** Hosts that come to their release together; and each that does so by itself: by a policy of its own, or because the rollout is over. */
  async function divide(due: readonly Decided[]): Promise<readonly [Decided[], Decided[]]> {
    const [together, alone]: [Decided[], Decided[]] = [[], []];
    for (const each of due) {
      const first = each.fleetWide && (await rollouts.find(rolloutIdOf(each.product, each.releaseId))) === null;
      (first ? together : alone).push(each);
    }
    return [together, alone];
  }

  async function artifactsOf(wanted: readonly Decided[]): Promise<Prefetch[]> {
    const found = await Promise.all(wanted.map(async ({ row, product, releaseId }) => ({ host: row.host, product, artifact: await releases.find(product, releaseId, row.role).catch(() => null) })));
    return found.flatMap(({ host, product, artifact }) => {
      if (artifact === null) return [];
      const { manifest: _manifest, ...reference } = artifact;
      return [{ host, product, artifact: reference }];
    });
  }
}

export type ReleaseCheckActivities = ReturnType<typeof createReleaseCheckActivities>;

/** One for each release: a check that comes again finds the rollout that it began. */
const rolloutIdOf = (product: ProductName, releaseId: ReleaseId): RolloutId => rolloutIdOfDigest(createHash('sha256').update(`release check ${product} ${releaseId}`).digest('hex'));
