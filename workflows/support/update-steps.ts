import type { RunRef } from '../../activities/host/dependencies.ts';
import type { RecoveryInput } from '../../activities/host/recovery.ts';
import type { Artifact, ArtifactRef } from '../../src/domain/bundle/artifact.ts';
import type { Reason } from '../../src/domain/failure.ts';
import { stepLimitMs } from '../../src/domain/update/limits.ts';
import type { UpdatePlan } from '../../src/domain/update/plan.ts';
import type { UpdateRequest } from '../../src/domain/update/request.ts';
import { stepTitle, type UndoStep, type UpdateStep } from '../../src/domain/update/step.ts';
import type { CallLimits, HostCalls } from './host-calls.ts';

/** What every step of a run knows. */
export interface StepContext {
  readonly run: RunRef;
  readonly request: UpdateRequest;
  readonly artifact: Artifact;
  readonly plan: UpdatePlan;
  readonly call: HostCalls;
  /** Where the backup lies; null until it was taken. */
  readonly backupPath: string | null;
}

/** What a step has to say when it is done: for the report and, from `backup`, for the state. */
export interface StepResult {
  readonly attempts: number;
  readonly note?: string;
  readonly backupPath?: string;
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

const underWay: Reason = {
  class: 'orchestrator',
  code: 'run_under_way',
  message: 'The run was still under way when this record was written.',
  hint: 'Use it only where the control plane is gone and the run does not go on by itself.',
};

const onward: Executors<UpdateStep> = {
  'open-intent': async (step, c) => {
    const { phase, fromReleaseId, toReleaseId } = c.plan;
    const { attempt } = await c.call('openIntent', { run: c.run, direction: 'do', phase, fromReleaseId, toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt };
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
    const input = recoveryInput(c, { failedStep: '', stuckAt: '', undone: [], reason: underWay });
    const { value, attempt } = await c.call('armRecovery', { ...input, direction: 'do' }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.script };
  },
  migrate: async (step, c) => {
    const { fromReleaseId, toReleaseId } = c.plan;
    const { value, attempt } = await c.call('migrateData', { run: c.run, direction: 'do', fromReleaseId, toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.note };
  },
  configure: async (step, c) => {
    const { toReleaseId: releaseId, phase } = c.plan;
    const { value, attempt } = await c.call('configureInstances', { run: c.run, direction: 'do', releaseId, phase }, stepTitle(step), limitsOf(step, c));
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
  retire: (step, c) => retire(step, c, 'do'),
  'verify-health': (step, c) => verifyHealth(step, c, 'do', c.plan.toReleaseId),
  commit: async (step, c) => {
    const { attempt } = await c.call('commitRelease', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, stepTitle(step), limitsOf(step, c));
    return { attempts: attempt };
  },
  prune: async (step, c) => {
    const { value, attempt } = await c.call('pruneReleases', { run: c.run, direction: 'do', releaseId: c.plan.toReleaseId }, stepTitle(step), limitsOf(step, c));
    const gone = [...value.releases, ...value.backups.map((id) => `backup ${id}`)];
    return { attempts: attempt, note: gone.length > 0 ? `removed ${gone.join(', ')}` : 'nothing to remove' };
  },
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
  const { value, attempt } = await c.call('verifyHealth', { run: c.run, direction, releaseId, phase: c.plan.phase }, stepTitle(step), limitsOf(step, c));
  return { attempts: attempt, note: `${value.probes} probes passed` };
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
