import type { Artifact } from '../bundle/artifact.ts';
import type { Reason } from '../failure.ts';
import type { HostInspection, Intent } from '../host/state.ts';
import type { InstanceName, ProductName, ReleaseId } from '../ids.ts';
import { instancesOnHost } from '../host/instances.ts';
import { colourOf, type Colour, type Phase } from '../product/manifest.ts';
import type { Strategy, UpdateRequest } from './request.ts';
import type { UpdateStep } from './step.ts';

/** What a run will do on a host, decided before it does anything; `update plan` shows the same. */
export interface UpdatePlan {
  readonly kind: 'update-apply' | 'promotion';
  readonly strategy: Strategy;
  /** Equal to `phase` unless the run is a promotion. */
  readonly phaseBefore: Phase;
  readonly phase: Phase;
  readonly fromReleaseId: ReleaseId | null;
  readonly toReleaseId: ReleaseId;
  /** Instances that the host runs before, and those that it runs after. */
  readonly instancesBefore: readonly InstanceName[];
  readonly instancesAfter: readonly InstanceName[];
  readonly steps: readonly UpdateStep[];
  /** What the operator should know beforehand, for example that a service has one instance and will be away. */
  readonly warnings: readonly string[];
}

export type PlanDecision =
  | { readonly kind: 'apply'; readonly plan: UpdatePlan }
  | { readonly kind: 'unchanged'; readonly activeReleaseId: ReleaseId }
  | { readonly kind: 'refuse'; readonly reason: Reason };

/**
 * Decides what an update will do. Pure: the same inspection, artifact and request give the same plan.
 *
 * Refuses (class `request` or `host`, nothing was touched): a stranded host, a condemned release, an older release than the new one can
 * be applied over, data that is older than what the new release reads, too little room.
 */
export function planUpdate(inspection: HostInspection, artifact: Artifact, request: UpdateRequest): PlanDecision {
  const { state, intent } = inspection;
  const target = artifact.releaseId;
  const place = `${request.host}/${request.product}`;
  const refuse = (reason: Reason): PlanDecision => ({ kind: 'refuse', reason });

  if (intent?.stranded) {
    return refuse(strandedReason(intent, request.product, place));
  }
  const active = state?.activeReleaseId ?? null;
  const settled = active === target && inspection.currentReleaseId === target && state?.lastGoodReleaseId === target && intent === null;
  // A host on which a first install failed remembers the release, not a phase.
  const phase = (active ? state?.phase : undefined) ?? request.phase ?? artifact.manifest.initialPhase;
  if (settled && state && Object.values(state.instances).every((instance) => instance.releaseId === target && instance.admitted)) {
    return { kind: 'unchanged', activeReleaseId: target };
  }
  if (state?.failedReleaseIds.includes(target) && !request.allowFailed) {
    return refuse({
      class: 'request',
      code: 'release_condemned',
      message: `Release ${target} failed on ${place} before and is not retried by itself.`,
      hint: `If the cause is mended, ask again with --allow-failed --reason TEXT; the reason stands in: fairlead runs list --host ${request.host}`,
    });
  }
  if (request.phase && request.phase !== phase) {
    return refuse({
      class: 'request',
      code: 'phase_fixed',
      message: `${place} is in phase ${phase}; an update does not change it to ${request.phase}.`,
      hint: 'Leave --phase out; a promotion takes a host from setup to installed.',
    });
  }
  const from = state?.lastGoodReleaseId ?? null;
  const hop = artifact.manifest.updateFrom;
  if (from && hop && from !== target && !hop.releases.includes(from)) {
    return refuse({
      class: 'request',
      code: 'hop_needed',
      message: `Release ${target} cannot be applied over ${from}: it accepts ${hop.releases.join(', ')}.`,
      hint: `Apply ${hop.releases.at(-1)} first, then ${target}.`,
    });
  }
  const { data } = artifact.manifest;
  const kept = inspection.schemaGeneration ?? null;
  if (kept !== null && kept < data.readsFrom) {
    return refuse({
      class: 'request',
      code: 'data_too_old',
      message: `Release ${target} reads data from generation ${data.readsFrom} on; ${place} keeps generation ${kept}, by release ${active}.`,
      hint: `Apply a release in between first, one that reads generation ${kept} and takes it to ${data.readsFrom} or later: fairlead release list.`,
    });
  }
  const needed = artifact.sizeBytes * 6;
  if (inspection.freeBytes < needed) {
    return refuse({
      class: 'host',
      code: 'disk_too_full',
      message: `${place} has ${mebibytes(inspection.freeBytes)} MiB free; release ${target} needs ${mebibytes(needed)} MiB (six times its bundle, for download, extraction and backup).`,
      hint: 'Make room on the host, or lower retention in fairlead.yaml, and ask again.',
    });
  }
  if (artifact.manifest.router === null && artifact.manifest.health[phase].some((name) => artifact.manifest.probes[name]?.target === 'router')) {
    return refuse({
      class: 'release',
      code: 'router_missing',
      message: `The health model of phase ${phase} in release ${target} asks through a router, and the manifest declares none.`,
      hint: 'Add `router:` to fairlead.yaml, or take the router probes out of `health:`.',
    });
  }

  const namesBefore = Object.keys(state?.instances ?? {}) as InstanceName[];
  const serving: Colour = namesBefore.some((name) => colourOf(name) === 'green') ? 'green' : 'blue';
  // Nothing serves that could be kept beside the new release: a first install has one way only.
  const strategy: Strategy = active === null || namesBefore.length === 0 ? 'rolling' : request.strategy;
  const colour: Colour = strategy === 'rolling' ? serving : serving === 'blue' ? 'green' : 'blue';
  const namesAfter = instancesOnHost(artifact.manifest, phase, state, colour).map((instance) => instance.name);
  const retired = namesBefore.filter((name) => !namesAfter.includes(name));
  const warnings: string[] = [];
  for (const service of artifact.manifest.services) {
    const count = service.instances[phase].length;
    if (strategy === 'rolling' && count === 1 && namesBefore.some((name) => state?.instances[name]?.service === service.name)) {
      warnings.push(`Service ${service.name} has one instance in phase ${phase}: its requests fail while it restarts.`);
    }
  }
  const hooks = artifact.manifest.hooks;
  if (kept !== null && data.schemaGeneration < kept) {
    warnings.push(`Release ${target} knows data up to generation ${data.schemaGeneration}; this host keeps generation ${kept}. It works only if ${active} declares that older releases read its rows (data.onRollback: keep).`);
  }
  if (hooks.migrate && artifact.manifest.data.onRollback === 'stop') {
    warnings.push('The migration cannot be undone: a failure after it strands the host until a person decides.');
  }
  if (hooks.migrate && artifact.manifest.data.onRollback === 'restore') {
    warnings.push('A rollback after the migration puts the backup back: rows written in between are lost.');
  }
  if (strategy !== 'rolling') {
    const routed = artifact.manifest.router?.routes.map(({ service }) => service) ?? [];
    for (const { name, instances } of artifact.manifest.services) {
      if (!routed.includes(name) && instances[phase].length > 0) warnings.push(`Service ${name} gets no requests from the router: its old and its new instances work side by side until the old ones are stopped.`);
    }
  }
  const roll = strategy === 'rolling' ? rolling(namesBefore, namesAfter, retired) : beside(strategy, namesBefore, namesAfter, artifact, request);
  const steps: UpdateStep[] = [
    { name: 'open-intent' },
    { name: 'download' },
    { name: 'verify' },
    { name: 'extract' },
    { name: 'preflight' },
    { name: 'backup' },
    { name: 'arm-recovery' },
    ...(hooks.migrate ? [{ name: 'migrate' } as const] : []),
    { name: 'configure' },
    ...roll,
    { name: 'prune' },
    { name: 'close-intent' },
  ];
  return {
    kind: 'apply',
    plan: { kind: 'update-apply', strategy, phaseBefore: phase, phase, fromReleaseId: from, toReleaseId: target, instancesBefore: namesBefore, instancesAfter: namesAfter, steps, warnings },
  };
}

/** Why no run may touch a host whose last undo failed. */
export const strandedReason = (intent: Intent, product: ProductName, place: string): Reason => ({
  class: 'host',
  code: 'host_stranded',
  message: `${place} is stranded since run ${intent.runId}: ${intent.stranded?.message}`,
  hint: `On the host, run: fairlead recover --product ${product} --run ${intent.runId}`,
});

/** In place, one instance at a time: its twins serve meanwhile. */
function rolling(before: readonly InstanceName[], after: readonly InstanceName[], retired: readonly InstanceName[]): UpdateStep[] {
  return [
    { name: 'activate' },
    ...after.flatMap((instance): UpdateStep[] => [
      ...(before.includes(instance) ? [{ name: 'drain', instance } as const] : []),
      { name: 'restart', instance },
      { name: 'prove', instance },
      { name: 'admit', instance },
    ]),
    ...retired.map((instance): UpdateStep => ({ name: 'retire', instance })),
    { name: 'verify-health' },
    { name: 'commit' },
  ];
}

/**
 * All instances anew in the idle colour, beside those that serve. The old ones are stopped only when the new release is committed: until then the
 * way back is one change of the router. `current` moves with the last of the requests.
 */
function beside(strategy: Strategy, before: readonly InstanceName[], after: readonly InstanceName[], { manifest }: Artifact, request: UpdateRequest): UpdateStep[] {
  const { canary } = manifest;
  const holdSeconds = request.holdSeconds ?? (strategy === 'canary' ? canary.holdSeconds : manifest.keepWarmSeconds);
  const tiers = strategy === 'canary' ? (request.tiers ?? canary.tiers).filter((percent) => percent < 100) : [];
  return [
    ...after.flatMap((instance): UpdateStep[] => [
      { name: 'restart', instance },
      { name: 'prove', instance },
    ]),
    ...tiers.flatMap((percent): UpdateStep[] => [
      { name: 'shift', percent, to: after, from: before },
      { name: 'hold', percent, seconds: holdSeconds, to: after, judged: true },
    ]),
    { name: 'activate' },
    { name: 'shift', percent: 100, to: after, from: before },
    { name: 'verify-health' },
    // A flip has no tiers before it: what it does to clients is looked at while the old colour is still up.
    { name: 'hold', percent: 100, seconds: holdSeconds, to: after, judged: strategy === 'canary' },
    { name: 'commit' },
    ...before.map((instance): UpdateStep => ({ name: 'retire', instance })),
  ];
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
