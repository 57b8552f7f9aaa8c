import { enrolledAt, IllegalFleetTransition, isInMaintenance, nextFleetState, type FleetEvent, type FleetState } from '../../../../src/domain/fleet/host-state.ts';
import type { RunId } from '../../../../src/domain/ids.ts';
import { after, failures, fleetVariants, sampleFleetEvents, sampleFleetStates } from '../../../support/fleet-samples.ts';

const { SessionBegan, SessionLost, AttemptFailed, AttemptSucceeded, MaintenanceBegan, MaintenanceEnded } = sampleFleetEvents;
const { connected, error, maintenance } = sampleFleetStates;

/** Every pair. `-` is illegal. Columns: the events, in the order of the samples. */
const table: Readonly<Record<string, string>> = {
  pending: 'connected - pending pending maintenance -',
  connected: 'connected disconnected connected connected maintenance -',
  'connected, four failures': 'connected disconnected error connected maintenance -',
  disconnected: 'connected disconnected disconnected disconnected maintenance -',
  'error, connected beneath': 'error error error connected maintenance -',
  'error, disconnected beneath': 'error error error disconnected maintenance -',
  'maintenance, connected beneath': 'maintenance maintenance maintenance maintenance maintenance connected',
  'maintenance, disconnected beneath': 'maintenance maintenance maintenance maintenance maintenance disconnected',
  'maintenance, error before': 'maintenance maintenance maintenance maintenance maintenance error',
};

describe('every pair of state and event', () => {
  const pairs = fleetVariants.flatMap(([name, state]) => Object.values(sampleFleetEvents).map((event, column) => ({ name, state, event, expected: table[name]?.split(' ')[column] ?? 'missing' })));
  test.each(pairs)('$name, $event.type: $expected', ({ state, event, expected }) => {
    const phase = (): string => nextFleetState(state, event).phase;
    if (expected === '-') expect(phase).toThrow(IllegalFleetTransition);
    else expect(phase()).toBe(expected);
  });
});

test('four failures, one success, four failures: no error; the fifth in a row: error, since then', () => {
  const shaken = after(connected, ...failures(4), AttemptSucceeded, ...failures(4));
  expect(shaken).toMatchObject({ phase: 'connected', failures: { run: 4 } });
  expect(after(shaken, { ...AttemptFailed, at: '2026-11-21T11:00:00.000Z' })).toMatchObject({ phase: 'error', since: '2026-11-21T11:00:00.000Z' });
});

test('a host that is heard well and fails every run: error all the same, and no hello makes it good', () => {
  const heard: FleetEvent = { ...AttemptSucceeded, kind: 'contact', runId: null };
  expect(after(connected, ...failures(5).flatMap((failure) => [failure, heard]))).toMatchObject({ phase: 'error' });
  expect(after(error, heard).phase).toBe('error');
  expect(after(error, AttemptSucceeded).phase).toBe('connected');
});

test('a run told twice counts once', () => {
  const told = { ...AttemptFailed, runId: 'run-1' as RunId };
  expect(after(connected, told, told).failures.run).toBe(1);
});

test('a host in error that is lost comes back from it as disconnected, since it was lost', () => {
  const lostAt = '2026-11-21T12:00:00.000Z';
  const back = after(error, { ...SessionLost, at: lostAt }, { ...AttemptSucceeded, at: '2026-11-21T13:00:00.000Z' });
  expect(back).toMatchObject({ phase: 'disconnected', link: { since: lostAt, why: 'lost' } });
});

test('what fails during maintenance does not count; the link goes on beneath; a second one changes reason and end, not the begin', () => {
  const worked = after(maintenance, ...failures(9), { ...SessionLost, at: '2026-11-21T12:00:00.000Z' }, { ...MaintenanceBegan, at: '2026-11-21T12:30:00.000Z', reason: 'and memory', until: '2026-11-21T14:00:00.000Z' });
  expect(worked).toMatchObject({ phase: 'maintenance', since: maintenance.since, reason: 'and memory', link: { phase: 'disconnected' }, failures: { run: 0 } });
  expect([isInMaintenance(worked, '2026-11-21T13:59:59.000Z'), isInMaintenance(worked, '2026-11-21T14:00:00.000Z'), isInMaintenance(connected, '2026-11-21T12:00:00.000Z')]).toEqual([true, false, false]);
  const ended: FleetState = after(worked, MaintenanceEnded);
  expect(ended).toMatchObject({ phase: 'disconnected' });
  expect(ended).not.toHaveProperty('reason');
});

test('a session that begins while one is open changes nothing', () => {
  expect(after(connected, { ...SessionBegan, at: '2027-01-01T00:00:00.000Z' })).toBe(connected);
  expect(enrolledAt('2026-11-21T09:00:00.000Z').phase).toBe('pending');
});
