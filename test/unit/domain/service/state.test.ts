import { IllegalServiceTransition, nextServiceState, serviceOutcomeOf, type ServiceEvent, type ServiceState } from '../../../../src/domain/service/state.ts';
import { sampleServiceEvents, sampleServiceStates } from '../../../support/service-samples.ts';

/** Every legal pair; what is not here is illegal. */
const table: Readonly<Record<string, string>> = {
  'Gathering RequestJoined': 'Gathering',
  'Gathering GatheringEnded': 'Queued',
  'Gathering CancelRequested': 'Cancelled',
  'Gathering StepFailed': 'Refused',
  'Queued RequestJoined': 'Queued',
  'Queued HostTaken': 'Requested',
  'Queued PreconditionFailed': 'Refused',
  'Queued StepFailed': 'Refused',
  'Queued CancelRequested': 'Cancelled',
  'Requested HostInspected': 'Planned',
  'Requested NothingToDo': 'Unchanged',
  'Requested PreconditionFailed': 'Refused',
  'Requested StepFailed': 'Refused',
  'Requested CancelRequested': 'Cancelled',
  'Planned ChangeBegun': 'Changing',
  'Planned StepFailed': 'Undoing',
  'Planned CancelRequested': 'Undoing',
  'Changing InstanceDone': 'Changing',
  'Changing ChangeCompleted': 'Succeeded',
  'Changing StepFailed': 'Undoing',
  'Changing CancelRequested': 'Undoing',
  'Undoing UndoStepDone': 'Undoing',
  'Undoing UndoStuck': 'Stranded',
  'Undoing HostRestored': 'RolledBack',
};
const states = Object.values(sampleServiceStates) as ServiceState[];
const events = Object.values(sampleServiceEvents) as ServiceEvent[];

test.each(states.flatMap((state) => events.map((event) => [state.phase, event.type, state, event] as const)))('%s, %s', (phase, type, state, event) => {
  const next = table[`${phase} ${type}`];
  if (next === undefined) expect(() => nextServiceState(state, event)).toThrow(IllegalServiceTransition);
  else expect(nextServiceState(state, event).phase).toBe(next);
});

test('a way back ends by what was touched and who asked for it', () => {
  const undoing = sampleServiceStates.Undoing;
  const end = (change: Partial<typeof undoing>, type: 'HostRestored' | 'UndoStuck') => nextServiceState({ ...undoing, ...change }, sampleServiceEvents[type]).phase;
  expect(end({ touched: false }, 'HostRestored')).toBe('Refused');
  expect(end({ touched: false }, 'UndoStuck')).toBe('Refused');
  expect(end({ cancelled: true }, 'HostRestored')).toBe('Cancelled');
  expect(end({ cancelled: true }, 'UndoStuck')).toBe('Stranded');
});

test('a failure before the first change has touched nothing, one after it has', () => {
  expect(nextServiceState(sampleServiceStates.Planned, sampleServiceEvents.StepFailed)).toMatchObject({ touched: false });
  expect(nextServiceState(sampleServiceStates.Changing, sampleServiceEvents.StepFailed)).toMatchObject({ touched: true });
});

test('the final states are the outcomes', () => {
  expect(states.flatMap((state) => serviceOutcomeOf(state) ?? [])).toEqual(['succeeded', 'unchanged', 'refused', 'rolled_back', 'cancelled', 'stranded']);
});
