import type { RunRef } from '../../activities/host/dependencies.ts';
import type { RecoveryInput } from '../../activities/host/recovery.ts';
import type { Service } from '../../src/domain/product/manifest.ts';
import { serviceStepLimitMs } from '../../src/domain/service/limits.ts';
import type { ServiceManifest } from '../../src/domain/service/inspection.ts';
import type { ServicePlan } from '../../src/domain/service/plan.ts';
import type { ServiceRequest } from '../../src/domain/service/request.ts';
import { serviceStepTitle, type ServiceStep, type ServiceUndoStep } from '../../src/domain/service/step.ts';
import { runUnderWay } from './failures.ts';
import type { CallLimits, HostCalls } from './host-calls.ts';

/** What every step of a run about a service knows. */
export interface ServiceContext {
  readonly run: RunRef;
  readonly request: ServiceRequest;
  readonly manifest: ServiceManifest;
  readonly plan: ServicePlan;
  readonly call: HostCalls;
}

export interface ServiceStepResult {
  readonly attempts: number;
  readonly note?: string;
  /** Of a drain: requests were still in flight when its bound was reached. */
  readonly overran?: boolean;
}

type Executors<Step extends { readonly name: string }> = {
  readonly [Name in Step['name']]: (step: Extract<Step, { readonly name: Name }>, context: ServiceContext) => Promise<ServiceStepResult>;
};
type Direction = 'do' | 'undo';
type OnInstance<Step> = Extract<Step, { readonly instance: unknown }>;

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
const serviceOf = ({ manifest, plan }: ServiceContext): Service => manifest.services.find(({ name }) => name === plan.service) as Service;
const bakeOf = ({ request, manifest }: ServiceContext): number => ('bakeSeconds' in request ? request.bakeSeconds : undefined) ?? manifest.bakeSeconds;
const limitsOf = (step: ServiceStep | ServiceUndoStep, c: ServiceContext): CallLimits => ({ startToCloseMs: serviceStepLimitMs(step, serviceOf(c), bakeOf(c)) });

/** What a recovery record and its script are made from. The release is the same before and after. */
export const serviceRecoveryInput = (c: ServiceContext, at: Pick<RecoveryInput, 'failedStep' | 'stuckAt' | 'undone' | 'reason'>): RecoveryInput => ({
  run: c.run,
  direction: 'undo',
  fromReleaseId: c.plan.releaseId,
  toReleaseId: c.plan.releaseId,
  instancesBefore: c.plan.instancesBefore,
  instancesAfter: c.plan.instancesAfter,
  backupPath: null,
  restoreData: false,
  ...at,
});

const onward: Executors<ServiceStep> = {
  'open-intent': async (step, c) => {
    const { action, phase, releaseId, instancesBefore, instancesAfter } = c.plan;
    const kind = action === 'restart' || action === 'reload' ? 'restart' : 'scale';
    const input = { run: c.run, direction: 'do', kind, phaseBefore: phase, phase, instancesBefore, instancesAfter, fromReleaseId: releaseId, toReleaseId: releaseId } as const;
    const { attempt } = await c.call('openIntent', input, serviceStepTitle(step), limitsOf(step, c));
    return { attempts: attempt, ...(c.plan.warnings.length > 0 ? { note: c.plan.warnings.join(' ') } : {}) };
  },
  add: async (step, c) => {
    const { instance, service, short, port, portFixed } = step;
    const { value, attempt } = await c.call('addInstance', { run: c.run, direction: 'do', instance, service, short, port, portFixed }, serviceStepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: `on port ${value.port}` };
  },
  'arm-recovery': async (step, c) => {
    const input = serviceRecoveryInput(c, { failedStep: '', stuckAt: '', undone: [], reason: runUnderWay });
    const { value, attempt } = await c.call('armRecovery', { ...input, direction: 'do' }, serviceStepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: value.script };
  },
  reload: async (step, c) => {
    const { value, attempt } = await c.call('reloadInstance', { run: c.run, direction: 'do', instance: step.instance, releaseId: c.plan.releaseId }, serviceStepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: `${serviceOf(c).reloadSignal} to process ${value.pid}, which is ready again after ${seconds(value.readyAfterMs)}` };
  },
  drain: async (step, c) => {
    const { value, attempt } = await c.call('drainInstance', { run: c.run, direction: 'do', instance: step.instance }, serviceStepTitle(step), limitsOf(step, c));
    const overran = !value.drained && value.waitedMs >= 1000 * serviceOf(c).drainSeconds;
    if (overran) return { attempts: attempt, overran, note: `requests were still in flight after ${seconds(value.waitedMs)}, the bound of its drain: it is stopped, and then started, as separate steps` };
    return { attempts: attempt, note: value.drained ? `drained in ${seconds(value.waitedMs)}` : 'the router could not say what is in flight' };
  },
  stop: async (step, c) => {
    const { value, attempt } = await c.call('stopInstance', { run: c.run, direction: 'do', instance: step.instance }, serviceStepTitle(step), limitsOf(step, c));
    const { stopSignal, stopSeconds } = serviceOf(c);
    return { attempts: attempt, note: value.result === 'killed' ? `did not end within ${stopSeconds} s of ${stopSignal}, and was killed` : value.result === 'stopped' ? `ended after ${stopSignal}` : 'did not run any more' };
  },
  restart: async (step, c) => {
    const input = { run: c.run, direction: 'do', instance: step.instance, releaseId: c.plan.releaseId, again: true } as const;
    const { value, attempt } = await c.call('restartInstance', input, `${serviceStepTitle(step)} on ${c.plan.releaseId}`, limitsOf(step, c));
    return { attempts: attempt, note: value.result === 'restarted' ? `on ${c.plan.releaseId}` : 'was started by this run already' };
  },
  prove: (step, c) => prove(step, c, 'do'),
  admit: (step, c) => admit(step, c, 'do'),
  retire: (step, c) => retire(step, c, 'do'),
  'verify-health': (step, c) => verifyHealth(step, c, 'do'),
  settle: async (step, c) => {
    const { instance, service, short } = step;
    const { attempt } = await c.call('settleInstance', { run: c.run, direction: 'do', instance, service, short }, serviceStepTitle(step), limitsOf(step, c));
    return { attempts: attempt, note: 'updates keep it from here on' };
  },
  forget: (step, c) => forget(step, c, 'do'),
  'close-intent': (step, c) => closeIntent(step, c, 'do'),
};

const backward: Executors<ServiceUndoStep> = {
  restart: async (step, c) => {
    const input = { run: c.run, direction: 'undo', instance: step.instance, releaseId: c.plan.releaseId, again: step.again } as const;
    const { value, attempt } = await c.call('restartInstance', input, `${serviceStepTitle(step)} on ${c.plan.releaseId}`, limitsOf(step, c));
    return { attempts: attempt, note: value.result === 'restarted' ? `on ${c.plan.releaseId}` : 'runs' };
  },
  prove: (step, c) => prove(step, c, 'undo'),
  admit: (step, c) => admit(step, c, 'undo'),
  retire: (step, c) => retire(step, c, 'undo'),
  forget: (step, c) => forget(step, c, 'undo'),
  'verify-health': (step, c) => verifyHealth(step, c, 'undo'),
  'close-intent': (step, c) => closeIntent(step, c, 'undo'),
};

async function prove(step: OnInstance<ServiceStep | ServiceUndoStep>, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { releaseId } = c.plan;
  const input = { run: c.run, direction, instance: step.instance, releaseId, bakeSeconds: direction === 'undo' ? 0 : bakeOf(c) };
  const { value, attempt } = await c.call('proveInstance', input, `${serviceStepTitle(step)} on ${releaseId}`, limitsOf(step, c));
  return { attempts: attempt, note: `${releaseId} answers after ${seconds(value.readyAfterMs)}, watched for ${seconds(value.bakedMs)}` };
}
async function admit(step: OnInstance<ServiceStep | ServiceUndoStep>, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { attempt } = await c.call('admitInstance', { run: c.run, direction, instance: step.instance }, serviceStepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}
async function retire(step: OnInstance<ServiceStep | ServiceUndoStep>, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { attempt } = await c.call('retireInstance', { run: c.run, direction, instance: step.instance }, serviceStepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}
async function forget(step: Extract<ServiceStep, { name: 'forget' }>, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { instance, service, short } = step;
  const { attempt } = await c.call('forgetInstance', { run: c.run, direction, instance, service, short }, serviceStepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}
async function verifyHealth(step: ServiceStep | ServiceUndoStep, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { value, attempt } = await c.call('verifyHealth', { run: c.run, direction, releaseId: c.plan.releaseId, phase: c.plan.phase }, serviceStepTitle(step), limitsOf(step, c));
  return { attempts: attempt, note: `${value.probes} probes passed` };
}
async function closeIntent(step: ServiceStep | ServiceUndoStep, c: ServiceContext, direction: Direction): Promise<ServiceStepResult> {
  const { attempt } = await c.call('closeIntent', { run: c.run, direction }, serviceStepTitle(step), limitsOf(step, c));
  return { attempts: attempt };
}

export const executeServiceStep = (step: ServiceStep, context: ServiceContext): Promise<ServiceStepResult> =>
  (onward[step.name] as (step: ServiceStep, context: ServiceContext) => Promise<ServiceStepResult>)(step, context);
export const executeServiceUndoStep = (step: ServiceUndoStep, context: ServiceContext): Promise<ServiceStepResult> =>
  (backward[step.name] as (step: ServiceUndoStep, context: ServiceContext) => Promise<ServiceStepResult>)(step, context);
