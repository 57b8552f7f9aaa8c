import type { RunRef } from '../../activities/host/dependencies.ts';
import { certificateNameOf } from '../../src/domain/certificate/host-name.ts';
import type { RouterWorker } from '../../src/domain/certificate/served.ts';
import type { SwitchStep, SwitchUndoStep } from '../../src/domain/certificate/step.ts';
import type { CertificateRunRequest } from '../../src/domain/certificate/wish.ts';
import type { Reason } from '../../src/domain/failure.ts';
import type { HostInspection } from '../../src/domain/host/state.ts';
import type { CertificateVersion, InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import { runUnderWay, StepFault } from './failures.ts';
import type { HostCalls } from './host-calls.ts';

/** What the steps on the host know, and what they learn on the way. */
export interface SwitchContext {
  readonly run: RunRef;
  readonly request: CertificateRunRequest;
  readonly host: HostInspection;
  /** Where the issuer has put the pair. */
  readonly directory: string;
  readonly call: HostCalls;
  version: CertificateVersion | null;
  backupPath: string | null;
  workersBefore: readonly RouterWorker[];
}

export interface SwitchStepResult {
  readonly attempts: number;
  readonly note?: string;
}

type Executors<Step extends { readonly name: string }> = { readonly [Name in Step['name']]: (c: SwitchContext, title: string) => Promise<SwitchStepResult> };

const limits = { startToCloseMs: 120_000 };
/** What a reload did not do it does not do in half a minute either, and the old pair is to be proven soon. */
const fewTries = { ...limits, maximumAttempts: 3 };
const forward = (c: SwitchContext) => ({ run: c.run, direction: 'do', certificate: certificateNameOf(c.request.wish.names) }) as const;
const back = (c: SwitchContext) => ({ ...forward(c), direction: 'undo' }) as const;
const versioned = (c: SwitchContext) => ({ ...forward(c), version: c.version as CertificateVersion, names: c.request.wish.names });
const places = (count: number): string => `${count} ${count === 1 ? 'listener and name' : 'listeners and names'}`;

const onward: Executors<SwitchStep> = {
  'open-intent': async (c, title) => {
    const { state, intent } = c.host;
    const release = (state?.activeReleaseId ?? null) as ReleaseId;
    if (state === null || release === null) throw new StepFault({ class: 'request', code: 'nothing_installed', message: `${c.request.host}/${c.request.product} has no active release.`, hint: 'Install the product first.' });
    if (intent !== null && intent.runId !== c.run.runId && intent.fromReleaseId !== intent.toReleaseId && intent.stranded === null) {
      throw new StepFault({ class: 'host', code: 'host_between_releases', message: `Run ${intent.runId} left ${c.request.host}/${c.request.product} between ${intent.fromReleaseId ?? 'nothing'} and ${intent.toReleaseId}.`, hint: `Apply the release that is wanted: fairlead update apply RELEASE --host ${c.request.host} --product ${c.request.product}` });
    }
    const instances = Object.keys(state.instances) as InstanceName[];
    const { attempt } = await c.call('openIntent', { run: c.run, direction: 'do', kind: 'cert-renewal', phaseBefore: state.phase, phase: state.phase, instancesBefore: instances, instancesAfter: instances, fromReleaseId: release, toReleaseId: release }, title, limits);
    return { attempts: attempt };
  },
  stage: async (c, title) => {
    const { value, attempt } = await c.call('stageCertificate', { ...forward(c), directory: c.directory }, title, limits);
    c.version = value.version;
    return { attempts: attempt, note: `version ${value.version}, valid until ${value.notAfter}` };
  },
  check: async (c, title) => {
    const { value, attempt } = await c.call('checkCertificate', versioned(c), title, limits);
    return { attempts: attempt, note: `${value.names.join(', ')}, by ${value.issuer}` };
  },
  'back-up': async (c, title) => {
    const { value, attempt } = await c.call('backUpCertificate', forward(c), title, limits);
    c.backupPath = value.path;
    return { attempts: attempt, note: value.version === null ? 'there was none; the way back is plain HTTP' : `version ${value.version} at ${value.path}` };
  },
  'arm-recovery': async (c, title) => {
    const { value, attempt } = await c.call('armCertificateRecovery', { ...forward(c), failedStep: '', stuckAt: '', undone: [], reason: runUnderWay }, title, limits);
    return { attempts: attempt, note: value.script };
  },
  switch: async (c, title) => ({ attempts: (await c.call('switchCertificate', versioned(c), title, limits)).attempt, note: `current -> ${c.version}` }),
  'test-router': async (c, title) => ({ attempts: (await c.call('testRouter', forward(c), title, limits)).attempt }),
  reload: async (c, title) => {
    const { value, attempt } = await c.call('reloadRouter', forward(c), title, fewTries);
    c.workersBefore = value.workersBefore;
    return { attempts: attempt, note: value.note };
  },
  prove: async (c, title) => {
    const { value, attempt } = await c.call('proveServed', { ...forward(c), version: c.version, workersBefore: c.workersBefore }, title, fewTries);
    return { attempts: attempt, note: `served on ${places(value.served.length)}, in ${value.served.reduce((sum, { handshakes }) => sum + handshakes, 0)} handshakes` };
  },
  commit: async (c, title) => ({ attempts: (await c.call('commitCertificate', forward(c), title, limits)).attempt }),
  prune: async (c, title) => {
    const { value, attempt } = await c.call('pruneCertificates', forward(c), title, limits);
    return { attempts: attempt, note: value.removed.length > 0 ? `removed ${value.removed.join(', ')}` : 'nothing to remove' };
  },
  'forget-order': (c, title) => forgetOrder(c, title),
  'close-intent': async (c, title) => ({ attempts: (await c.call('closeIntent', { run: c.run, direction: 'do' }, title, limits)).attempt }),
};

const backward: Executors<SwitchUndoStep> = {
  restore: async (c, title) => {
    const { value, attempt } = await c.call('restoreCertificate', back(c), title, limits);
    c.version = value.version;
    return { attempts: attempt, note: value.version === null ? 'plain HTTP again' : `current -> ${value.version}` };
  },
  reload: async (c, title) => {
    const { value, attempt } = await c.call('reloadRouter', back(c), title, limits);
    return { attempts: attempt, note: value.note };
  },
  prove: async (c, title) => {
    const { value, attempt } = await c.call('proveServed', { ...back(c), version: c.version, workersBefore: null }, title, limits);
    return { attempts: attempt, note: c.version === null ? 'TLS is off' : `version ${c.version} is served on ${places(value.served.length)}` };
  },
  'forget-order': (c, title) => forgetOrder(c, title),
  'close-intent': async (c, title) => ({ attempts: (await c.call('closeIntent', { run: c.run, direction: 'undo' }, title, limits)).attempt }),
};

async function forgetOrder(c: SwitchContext, title: string): Promise<SwitchStepResult> {
  return { attempts: (await c.call('forgetOrder', { run: c.run, direction: 'do', wish: c.request.wish }, title, limits)).attempt };
}

export const executeSwitchStep = (step: SwitchStep, c: SwitchContext): Promise<SwitchStepResult> => onward[step.name](c, step.name);
export const executeSwitchUndoStep = (step: SwitchUndoStep, c: SwitchContext): Promise<SwitchStepResult> => backward[step.name](c, step.name);

/** What the record of a way back that failed is made from. */
export const switchRecoveryInput = (c: SwitchContext, at: { readonly failedStep: string; readonly stuckAt: string; readonly undone: readonly string[]; readonly reason: Reason }) => ({ ...back(c), ...at });
