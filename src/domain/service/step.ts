import type { InstanceName, ServiceName } from '../ids.ts';

/** The steps of a run about a service, forward and back, as data: the plan lists them, and the workflow looks up the executor of each by its name. */
export type ServiceStep =
  | { readonly name: 'open-intent' }
  | { readonly name: 'add'; readonly instance: InstanceName; readonly service: ServiceName; readonly short: string; readonly port: number; readonly portFixed: boolean }
  | { readonly name: 'arm-recovery' }
  | { readonly name: 'reload'; readonly instance: InstanceName }
  | { readonly name: 'drain'; readonly instance: InstanceName }
  /** Only after a drain that went past its bound: the process is stopped as a step of its own, and `restart` then starts it. */
  | { readonly name: 'stop'; readonly instance: InstanceName }
  | { readonly name: 'restart'; readonly instance: InstanceName }
  | { readonly name: 'prove'; readonly instance: InstanceName }
  | { readonly name: 'admit'; readonly instance: InstanceName }
  | { readonly name: 'retire'; readonly instance: InstanceName }
  | { readonly name: 'verify-health' }
  | { readonly name: 'settle'; readonly instance: InstanceName; readonly service: ServiceName; readonly short: string }
  | { readonly name: 'forget'; readonly instance: InstanceName; readonly service: ServiceName; readonly short: string }
  | { readonly name: 'close-intent' };

export type ServiceUndoStep =
  /** `again`: also where it runs, because it is not ready. Otherwise only a dead one is started. */
  | { readonly name: 'restart'; readonly instance: InstanceName; readonly again: boolean }
  | { readonly name: 'prove'; readonly instance: InstanceName }
  | { readonly name: 'admit'; readonly instance: InstanceName }
  | { readonly name: 'retire'; readonly instance: InstanceName }
  | { readonly name: 'forget'; readonly instance: InstanceName; readonly service: ServiceName; readonly short: string }
  | { readonly name: 'verify-health' }
  | { readonly name: 'close-intent' };

/** `restart api-a`: how a step is called in reports, events and the Web UI. */
export const serviceStepTitle = (step: ServiceStep | ServiceUndoStep): string => ('instance' in step ? `${step.name} ${step.instance}` : step.name);

/** Steps that change nothing that serves. One that fails leaves the host as it was. */
export const isPreparing = (step: ServiceStep): boolean => step.name === 'open-intent' || step.name === 'arm-recovery' || step.name === 'add';
