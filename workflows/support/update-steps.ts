import type { RunRef } from '../../activities/host/dependencies.ts';
import type { RecoveryInput } from '../../activities/host/recovery.ts';
import type { Artifact, ArtifactRef } from '../../src/domain/bundle/artifact.ts';
import { stepLimitMs } from '../../src/domain/update/limits.ts';
import type { UpdatePlan } from '../../src/domain/update/plan.ts';
import type { PromotionRequest } from '../../src/domain/promotion/request.ts';
import type { CertificateVersion } from '../../src/domain/ids.ts';
import type { Waiting } from '../../src/domain/run/report.ts';
import { judgeTier } from '../../src/domain/update/gate.ts';
import { stepTitle, type Shift, type UndoStep, type UpdateStep } from '../../src/domain/update/step.ts';
import * as certificate from './promotion-certificate-steps.ts';
import { runUnderWay, StepFault } from './failures.ts';
import type { CallLimits, HostCalls } from './host-calls.ts';

/** What every step of a run knows. */
export interface StepContext {
  readonly run: RunRef;
  readonly request: PromotionRequest;
  readonly artifact: Artifact;
  readonly plan: UpdatePlan;
  readonly call: HostCalls;
  /** Where the backup lies; null until it was taken. */
  readonly backupPath: string | null;
  /** When the last share of the traffic came into force, by the host's clock; null before the first. */
  readonly shiftedAt: string | null;
  /** Of the certificate that was staged in the promotion's course; null before. */
  readonly certificateVersion: CertificateVersion | null;
  /** Lets time pass. Milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
  /** Shows what the run waits for, and null when it no longer does. */
  readonly wait: (waiting: Waiting | null) => void;
}

/** What a step has to say when it is done: for the report and, from `backup`, for the state. */
export interface StepResult {
  readonly attempts: number;
  readonly note?: string;
  readonly backupPath?: string;
  readonly shiftedAt?: string;
  readonly certificateVersion?: CertificateVersion;
}

type Executors<Step extends { readonly name: string }> = {
  readonly [Name in Step['name']]: (step: Extract<Step, { readonly name: Name }>, context: StepContext) => Promise<StepResult>;
};

/** Whether the way back has to put the backed-up data back. */
export const restoresData = ({ manifest }: Artifact): boolean => manifest.hooks.migrate !== undefined && manifest.data.onRollback === 'restore';

const refOf = ({ manifest: _manifest, ...ref }: Artifact): ArtifactRef => ref;
const limitsOf = (step: UpdateStep | UndoStep, { artifact, request }: StepContext): CallLimits => ({
  startToCloseMs: stepLimitMs(step, artifact.manifest, request.bakeSeconds ?? null),
});
const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

/** What a recovery record and its script are made from, at any point of a run. */
export function recoveryInput(c: StepContext, at: Pick<RecoveryInput, 'failedStep' | 'stuckAt' | 'undone' | 'reason'>): RecoveryInput {
  const { fromReleaseId, toReleaseId, instancesBefore, instancesAfter } = c.plan;
  return {
    run: c.run,
    direction: 'undo',
    fromReleaseId,
    toReleaseId,
    instancesBefore,
    instancesAfter,
    backupPath: c.backupPath,
    restoreData: restoresData(c.artifact),
    ...at,
  };
}

const onward: Executors<UpdateStep> = {
  'open-intent': async (step, c) => {
    const { kind, phaseBefore, phase, fromReleaseId, toReleaseId, instancesBefore, instancesAfter } = c.plan;
    const { attempt } = await c.call('openIntent', { run: c.run, direction: 'do', kind, phaseBefore, phase, fromReleaseId, toReleaseId, instancesBefore, instancesAfter }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt };
  },
  'check-setup': async (step, c) => {
    const { value, attempt } = await c.call('checkSetup', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId, ...(c.request.certificate === undefined ? {} : { names: c.request.certificate.wish.names }) }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.note };
  },
  download: async (step, c) => {
    const limits = { ...limitsOf(step, c), waitsForDependency: true };
    const { value, attempt } = await c.call('downloadBundle', { run: c.run, direction: 'do', artifact: refOf(c.artifact) }, stepTitle(step), limits);
    const note = value.skipped ? 'already on the host' : `${value.bytes} bytes${value.resumedFrom > 0 ? `, resumed at ${value.resumedFrom}` : ''}`;
    return { attempts: attempt, note };
  },
  verify: async (step, c) => {
    const { value, attempt } = await c.call('verifyBundle', { run: c.run, direction: 'do', artifact: refOf(c.artifact) }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.skipped ? 'already on the host' : `digest matches, ${value.signedBy ? `signed by ${value.signedBy}` : 'no signature demanded'}` };
  },
  extract: async (step, c) => {
    const { value, attempt } = await c.call('extractBundle', { run: c.run, direction: 'do', artifact: refOf(c.artifact) }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.rehashed ? 'already on the host, every file read again' : `${value.files} files, ${value.bytes} bytes` };
  },
  preflight: async (step, c) => {
    const { value, attempt } = await c.call('runPreflight', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.note };
  },
  backup: async (step, c) => {
    const { fromReleaseId, toReleaseId } = c.plan;
    const { value, attempt } = await c.call('takeBackup', { run: c.run, direction: 'do', fromReleaseId, toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: `${value.bytes} bytes at ${value.backupPath}`, backupPath: value.backupPath };
  },
  'arm-recovery': async (step, c) => {
    const input = recoveryInput(c, { failedStep: '', stuckAt: '', undone: [], reason: runUnderWay });
    const { value, attempt } = await c.call('armRecovery', { ...input, direction: 'do' }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.script };
  },
  migrate: async (step, c) => {
    const { fromReleaseId, toReleaseId } = c.plan;
    const { value, attempt } = await c.call('migrateData', { run: c.run, direction: 'do', fromReleaseId, toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.note };
  },
  'write-environment': async (step, c) => {
    const { value, attempt } = await c.call('writeEnvironment', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.names.length > 0 ? `wrote ${value.names.join(', ')}` : 'nothing to write' };
  },
  configure: async (step, c) => {
    const { toReleaseId: releaseId, phase, instancesAfter: instances } = c.plan;
    const { value, attempt } = await c.call('configureInstances', { run: c.run, direction: 'do', releaseId, phase, instances }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.created.length > 0 ? `made conf files of ${value.created.join(', ')}` : 'nothing was missing' };
  },
  activate: async (step, c) => {
    const { attempt } = await c.call('activateRelease', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, `${stepTitle(step)} ${c.plan.toReleaseId}`, limitsOf(step, c));
    return { attempts: attempt, note: `current -> ${c.plan.toReleaseId}` };
  },
  drain: (step, c) => drain(step, c, 'do'),
  restart: (step, c) => restart(step, c, 'do', c.plan.toReleaseId),
  prove: (step, c) => prove(step, c, 'do', c.plan.toReleaseId),
  admit: (step, c) => admit(step, c, 'do'),
  shift: (step, c) => shift(step, c, 'do'),
  hold,
  retire: (step, c) => retire(step, c, 'do'),
  'verify-health': (step, c) => verifyHealth(step, c, 'do', c.plan.toReleaseId),
  commit: async (step, c) => {
    const { phaseBefore, phase, toReleaseId: releaseId } = c.plan;
    const { attempt } = await c.call('commitRelease', { run: c.run, direction: 'do', releaseId, ...(phase === phaseBefore ? {} : { phase }) }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, ...(phase === phaseBefore ? {} : { note: `phase ${phase}` }) };
  },
  prune: async (step, c) => {
    const { value, attempt } = await c.call('pruneReleases', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, stepTitle(step), limitsOf(step, c));
    const gone = [...value.releases, ...value.backups.map((id) => `backup ${id}`)];
    return { attempts: attempt, note: gone.length > 0 ? `removed ${gone.join(', ')}` : 'nothing to remove' };
  },
  'obtain-certificate': (_step, c) => certificate.obtain(c),
  'serve-certificate': (_step, c) => certificate.serve(c),
  'commit-certificate': (_step, c) => certificate.commit(c),
  'keep-certificate': (_step, c) => certificate.keep(c),
  'close-intent': (step, c) => closeIntent(step, c, 'do'),
};

const backward: Executors<UndoStep> = {
  reactivate: async (step, c) => {
    const { attempt } = await c.call('activateRelease', { run: c.run, direction: 'undo', releaseId: step.releaseId }, `reactivate ${step.releaseId}`, limitsOf(step, c));
    return { attempts: attempt, note: `current -> ${step.releaseId}` };
  },
  deactivate: async (step, c) => {
    const { attempt } = await c.call('deactivateRelease', { run: c.run, direction: 'undo' }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: 'no release is active' };
  },
  'reset-phase': async (step, c) => {
    const { attempt } = await c.call('resetPhase', { run: c.run, direction: 'undo', phase: step.phase }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: `phase ${step.phase}` };
  },
  shift: (step, c) => shift(step, c, 'undo'),
  'restore-environment': async (step, c) => {
    const { attempt } = await c.call('restoreEnvironment', { run: c.run, direction: 'undo' }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt };
  },
  'restore-certificate': (_step, c) => certificate.restore(c),
  'restore-data': async (step, c) => {
    const { fromReleaseId, toReleaseId } = c.plan;
    const { value, attempt } = await c.call('restoreData', { run: c.run, direction: 'undo', fromReleaseId, toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.note };
  },
  drain: (step, c) => drain(step, c, 'undo'),
  restart: (step, c) => restart(step, c, 'undo', step.releaseId),
  prove: (step, c) => prove(step, c, 'undo', step.releaseId),
  admit: (step, c) => admit(step, c, 'undo'),
  retire: (step, c) => retire(step, c, 'undo'),
  unconfigure: async (step, c) => {
    const { attempt } = await c.call('unconfigureInstances', { run: c.run, direction: 'undo', keep: c.plan.instancesBefore }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt };
  },
  'verify-health': (step, c) => verifyHealth(step, c, 'undo', step.releaseId),
  discard: async (step, c) => {
    const input = { run: c.run, direction: 'undo', releaseId: c.plan.toReleaseId, condemn: step.condemn } as const;
    const { attempt } = await c.call('discardRelease', input, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: step.condemn ? `${c.plan.toReleaseId} is condemned on this host` : `${c.plan.toReleaseId} may be tried again` };
  },
  'close-intent': (step, c) => closeIntent(step, c, 'undo'),
};

type Direction = 'do' | 'undo';
type InstanceStep = Extract<UpdateStep | UndoStep, { readonly instance: unknown }>;

async function drain(step: InstanceStep, c: StepContext, direction: Direction): Promise<StepResult> {
  const { value, attempt } = await c.call('drainInstance', { run: c.run, direction, instance: step.instance }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt, note: value.drained ? `drained in ${seconds(value.waitedMs)}` : `requests were still in flight after ${seconds(value.waitedMs)}` };
}
async function restart(step: InstanceStep, c: StepContext, direction: Direction, releaseId: UpdatePlan['toReleaseId']): Promise<StepResult> {
  const { value, attempt } = await c.call('restartInstance', { run: c.run, direction, instance: step.instance, releaseId }, `${stepTitle(step)} on ${releaseId}`, limitsOf(step, c));
  return { attempts: attempt, note: value.result === 'restarted' ? `on ${releaseId}` : `ran ${releaseId} already` };
}
async function prove(step: InstanceStep, c: StepContext, direction: Direction, releaseId: UpdatePlan['toReleaseId']): Promise<StepResult> {
  const input = { run: c.run, direction, instance: step.instance, releaseId, bakeSeconds: direction === 'undo' ? 0 : (c.request.bakeSeconds ?? null) };
  const { value, attempt } = await c.call('proveInstance', input, `${stepTitle(step)} on ${releaseId}`, limitsOf(step, c));
  return { attempts: attempt, note: `${releaseId} answers after ${seconds(value.readyAfterMs)}, watched for ${seconds(value.bakedMs)}` };
}
async function admit(step: InstanceStep, c: StepContext, direction: Direction): Promise<StepResult> {
  const { attempt } = await c.call('admitInstance', { run: c.run, direction, instance: step.instance }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}
async function retire(step: InstanceStep, c: StepContext, direction: Direction): Promise<StepResult> {
  const { attempt } = await c.call('retireInstance', { run: c.run, direction, instance: step.instance }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}
async function verifyHealth(step: UpdateStep | UndoStep, c: StepContext, direction: Direction, releaseId: UpdatePlan['toReleaseId']): Promise<StepResult> {
  const { value, attempt } = await c.call('verifyHealth', { run: c.run, direction, releaseId, phase: direction === 'do' ? c.plan.phase : c.plan.phaseBefore }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt, note: `${value.probes} probes passed` };
}
async function shift({ to, from, percent }: Shift, c: StepContext, direction: Direction): Promise<StepResult> {
  const title = `${direction === 'undo' ? 'give' : 'shift'} ${percent} % of the requests to ${to.join(', ')}`;
  const { value, attempt } = await c.call('shiftTraffic', { run: c.run, direction, to, from, percent }, title, { startToCloseMs: 60_000 });
  return { attempts: attempt, shiftedAt: value.at, note: `${percent} % to ${to.join(', ')}` };
}

/** How often a tier is looked at while it is held: a bad release is not left on for the whole time. */
const lookMs = 5_000;

/**
 * Holds a share of the traffic for its time. A judged one is looked at again and again, and ends early where it fails; where there is nothing to judge by
 * the end, it goes on, visibly, up to the manifest's limit. One that is not judged asks the health model.
 */
async function hold(step: Extract<UpdateStep, { readonly name: 'hold' }>, c: StepContext): Promise<StepResult> {
  const { canary } = c.artifact.manifest;
  const run = { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId } as const;
  const began = Date.now();
  const heldUntil = began + step.seconds * 1000;
  const waitUntil = heldUntil + canary.dataWaitSeconds * 1000;
  let since = c.shiftedAt ?? new Date(began).toISOString();
  for (let looks = 1; ; looks += 1) {
    const left = heldUntil - Date.now();
    if (left > 0 || looks > 1) await c.pause(left > 0 ? Math.min(lookMs, left) : lookMs);
    const isHeld = Date.now() >= heldUntil;
    if (!step.judged) {
      const { value } = await c.call('verifyHealth', { ...run, phase: c.plan.phase }, `watch ${step.to.join(', ')}`, limitsOf(step, c));
      if (isHeld) return { attempts: 1, note: `healthy for ${seconds(Date.now() - began)} with the old instances kept warm, ${value.probes} probes, looked ${looks} times` };
      continue;
    }
    const { value: figures } = await c.call('measureTraffic', { ...run, since }, `look at ${step.percent} % of the traffic`, limitsOf(step, c));
    // A router that was started anew knows nothing of the time before: what counts is what it sees from now on, or the tier would never be judged.
    if (figures.traffic === null) since = figures.measuredAt ?? since;
    const judgement = judgeTier(figures, step.to, canary);
    if (judgement.verdict === 'fail') {
      throw new StepFault({ class: 'release', code: judgement.code, message: `At ${step.percent} % of the traffic: ${judgement.note}.`, hint: 'The limits are canary: in fairlead.yaml. The old release has all requests again.' });
    }
    if (judgement.verdict === 'pass' && isHeld) {
      c.wait(null);
      return { attempts: 1, note: judgement.note };
    }
    if (judgement.verdict === 'pass' || !isHeld) continue;
    if (Date.now() >= waitUntil) {
      c.wait(null);
      throw new StepFault({ class: 'dependency', code: 'canary_no_data', message: `After ${canary.dataWaitSeconds} s beyond its time there was still nothing to judge ${step.percent} % of the traffic by: ${judgement.note}.`, hint: 'Try it when there are requests, lower canary.minRequests, or use another strategy.' });
    }
    c.wait({ for: `something to judge ${step.percent} % of the traffic by: ${judgement.note}`, since: new Date(heldUntil).toISOString(), until: new Date(waitUntil).toISOString(), release: 'requests to the product, or whoever cancels the run' });
  }
}
async function closeIntent(step: UpdateStep | UndoStep, c: StepContext, direction: Direction): Promise<StepResult> {
  const { attempt } = await c.call('closeIntent', { run: c.run, direction }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}

export function executeStep(step: UpdateStep, context: StepContext): Promise<StepResult> {
  return (onward[step.name] as (step: UpdateStep, context: StepContext) => Promise<StepResult>)(step, context);
}
export function executeUndoStep(step: UndoStep, context: StepContext): Promise<StepResult> {
  return (backward[step.name] as (step: UndoStep, context: StepContext) => Promise<StepResult>)(step, context);
}
