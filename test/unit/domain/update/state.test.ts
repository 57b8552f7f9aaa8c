import { readFileSync } from 'node:fs';
import { stateMachinesPage } from '../../../../scripts/state-machines.ts';
import { IllegalTransition, nextUpdateState, outcomeOf, type UpdateEvent, type UpdateState } from '../../../../src/domain/update/state.ts';
import { sampleEvents, sampleReason, sampleStates } from '../../../support/update-samples.ts';

const after = (state: UpdateState, ...events: UpdateEvent[]): UpdateState => events.reduce(nextUpdateState, state);
const e = sampleEvents;
const staged = [e.HostInspected, e.BundleStaged];
const activated = [...staged, e.BackupTaken, e.ReleaseActivated];

describe('an update', () => {
  test.each<[string, UpdateEvent[], UpdateState['phase']]>([
    ['everything goes well: succeeded', [...activated, e.InstanceRolled, e.HealthProven, e.ReleaseCommitted], 'Succeeded'],
    ['with a migration: succeeded', [...staged, e.BackupTaken, e.DataMigrated, e.ReleaseActivated, e.HealthProven, e.ReleaseCommitted], 'Succeeded'],
    ['the release is active already: unchanged', [e.NothingToDo], 'Unchanged'],
    ['a precondition fails: refused', [e.PreconditionFailed], 'Refused'],
    ['the download fails: refused, nothing was touched', [e.HostInspected, e.StepFailed, e.UndoStepDone, e.HostRestored], 'Refused'],
    ['the backup fails: refused, nothing was touched', [...staged, e.StepFailed, e.HostRestored], 'Refused'],
    ['the staging cannot even be cleared: refused all the same', [...staged, e.StepFailed, e.UndoStuck], 'Refused'],
    ['the migration fails: rolled back', [...staged, e.BackupTaken, e.StepFailed, e.HostRestored], 'RolledBack'],
    ['an instance never gets healthy: rolled back', [...activated, e.StepFailed, e.UndoStepDone, e.HostRestored], 'RolledBack'],
    ['the whole health model fails: rolled back', [...activated, e.InstanceRolled, e.StepFailed, e.HostRestored], 'RolledBack'],
    ['the commit cannot be written: rolled back', [...activated, e.HealthProven, e.StepFailed, e.HostRestored], 'RolledBack'],
    ['cancelled before anything: cancelled', [e.CancelRequested], 'Cancelled'],
    ['cancelled after the activation: cancelled, and healthy on the old release', [...activated, e.CancelRequested, e.HostRestored], 'Cancelled'],
    ['the undo fails as well: stranded', [...activated, e.StepFailed, e.UndoStepDone, e.UndoStuck], 'Stranded'],
    ['cancelled, and the undo fails: stranded', [...activated, e.CancelRequested, e.UndoStuck], 'Stranded'],
  ])('%s', (_name, events, phase) => {
    expect(after(sampleStates.Requested, ...events).phase).toBe(phase);
  });

  test('stranded says where the update failed, where the undo stuck, why, and what had been undone', () => {
    const stuckReason = { ...sampleReason, code: 'unit_masked' };
    const state = after(sampleStates.Requested, ...activated, e.StepFailed, e.UndoStepDone, { ...e.UndoStuck, reason: stuckReason });
    expect(state).toEqual({
      phase: 'Stranded',
      target: 'r2',
      lastGood: 'r1',
      backupPath: '/backups/run-1',
      failedStep: 'prove api-a',
      reason: sampleReason,
      stuckAt: 'restart api-a',
      stuckReason,
      undone: ['reactivate'],
    });
  });

  test('a cancel after everything was verified comes too late', () => {
    expect(() => after(sampleStates.Verified, e.CancelRequested)).toThrow(IllegalTransition);
  });

  test('every final state is one outcome and takes no event; every other state is no outcome', () => {
    const final = new Set<UpdateState['phase']>(['Succeeded', 'Unchanged', 'Refused', 'RolledBack', 'Cancelled', 'Stranded']);
    const outcomes = new Set<string>();
    for (const state of Object.values(sampleStates) as UpdateState[]) {
      expect([state.phase, outcomeOf(state) !== undefined]).toEqual([state.phase, final.has(state.phase)]);
      if (!final.has(state.phase)) continue;
      outcomes.add(outcomeOf(state) as string);
      for (const event of Object.values(sampleEvents) as UpdateEvent[]) expect(() => nextUpdateState(state, event)).toThrow(IllegalTransition);
    }
    expect(outcomes.size).toBe(final.size);
  });

  test('docs/state-machines.md is what the transition function does', () => {
    expect(readFileSync(new URL('../../../../docs/state-machines.md', import.meta.url), 'utf8')).toBe(stateMachinesPage());
  });
});
