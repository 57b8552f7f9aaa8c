import type { Reason } from '../../src/domain/failure.ts';
import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import type { UpdateEvent, UpdateState } from '../../src/domain/update/state.ts';

/** One state and one event of each kind, for walking every pair: by the tests, and by the page that shows the machine. */
const target = 'r2' as ReleaseId;
const from = 'r1' as ReleaseId;
const backupPath = '/backups/run-1';
export const sampleReason: Reason = { class: 'release', code: 'probe_failed', message: 'api-a was not ready' };

export const sampleStates: { readonly [Phase in UpdateState['phase']]: Extract<UpdateState, { phase: Phase }> } = {
  Requested: { phase: 'Requested', target },
  Planned: { phase: 'Planned', target, from },
  Staged: { phase: 'Staged', target, from },
  BackedUp: { phase: 'BackedUp', target, from, backupPath },
  Migrated: { phase: 'Migrated', target, from, backupPath },
  Activated: { phase: 'Activated', target, from, backupPath, rolled: [] },
  Verified: { phase: 'Verified', target, from, backupPath },
  Undoing: { phase: 'Undoing', target, from, backupPath, touched: true, cancelled: false, failedStep: 'prove api-a', reason: sampleReason, undone: [] },
  Succeeded: { phase: 'Succeeded', active: target, backupPath },
  Unchanged: { phase: 'Unchanged', active: target },
  Refused: { phase: 'Refused', reason: sampleReason },
  RolledBack: { phase: 'RolledBack', active: from, reason: sampleReason, backupPath },
  Cancelled: { phase: 'Cancelled', active: from, reason: sampleReason, backupPath },
  Stranded: { phase: 'Stranded', target, lastGood: from, backupPath, failedStep: 'prove api-a', reason: sampleReason, stuckAt: 'restart api-a', stuckReason: sampleReason, undone: [] },
};

export const sampleEvents: { readonly [Type in UpdateEvent['type']]: Extract<UpdateEvent, { type: Type }> } = {
  HostInspected: { type: 'HostInspected', from },
  NothingToDo: { type: 'NothingToDo', active: target },
  PreconditionFailed: { type: 'PreconditionFailed', reason: sampleReason },
  BundleStaged: { type: 'BundleStaged' },
  SetupConfirmed: { type: 'SetupConfirmed' },
  TrafficShifted: { type: 'TrafficShifted' },
  BackupTaken: { type: 'BackupTaken', backupPath },
  DataMigrated: { type: 'DataMigrated' },
  ReleaseActivated: { type: 'ReleaseActivated' },
  InstanceRolled: { type: 'InstanceRolled', instance: 'api-a' as InstanceName },
  HealthProven: { type: 'HealthProven' },
  ReleaseCommitted: { type: 'ReleaseCommitted' },
  StepFailed: { type: 'StepFailed', step: 'prove api-a', reason: sampleReason },
  CancelRequested: { type: 'CancelRequested', step: 'prove api-a', reason: sampleReason },
  UndoStepDone: { type: 'UndoStepDone', step: 'reactivate' },
  UndoStuck: { type: 'UndoStuck', step: 'restart api-a', reason: sampleReason },
  HostRestored: { type: 'HostRestored' },
};
