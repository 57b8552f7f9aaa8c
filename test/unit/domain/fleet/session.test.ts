import { decideBegin, isFailedAttempt, isLost, type BeginDecision, type BeginFacts } from '../../../../src/domain/fleet/session.ts';
import { endOfClose } from '../../../../src/domain/fleet/protocol.ts';

const open = { id: 's1', bootId: 'b1', transport: 'websocket' as const, clientRef: '' };
const facts: BeginFacts = { newcomer: { bootId: 'b2', transport: 'websocket', clientRef: '' }, open, asked: null, supersededMsAgo: null, conflict: null };
const overHttp = { bootId: 'b1', transport: 'http' as const, clientRef: 'c1' };
const decided = { decidedAt: '2026-11-21T10:00:00.000Z', acceptedBootId: 'b2' };

const cases: { name: string; change: Partial<BeginFacts>; expected: BeginDecision }[] = [
  { name: 'nobody is there: begin', change: { open: null }, expected: { do: 'begin', ends: null } },
  { name: 'the same agent, again: its session is renewed', change: { newcomer: { ...facts.newcomer, bootId: 'b1' } }, expected: { do: 'begin', ends: 'renewed' } },
  { name: 'the same agent by HTTP after its WebSocket: renewed', change: { newcomer: overHttp }, expected: { do: 'begin', ends: 'renewed' } },
  { name: 'the next request of a session over HTTP: goes on', change: { newcomer: overHttp, open: { ...overHttp, id: 's1' } }, expected: { do: 'continue' } },
  { name: 'the first request of the next session over HTTP: renewed', change: { newcomer: { ...overHttp, clientRef: 'c2' }, open: { ...overHttp, id: 's1' } }, expected: { do: 'begin', ends: 'renewed' } },
  { name: 'another agent while a connection stands: that one is asked', change: {}, expected: { do: 'ask' } },
  { name: 'the one that was asked is not the one that is open any more: asked anew', change: { asked: { session: 's0', answers: true } }, expected: { do: 'ask' } },
  { name: 'another agent, and the connection answers: two with one identity', change: { asked: { session: 's1', answers: true } }, expected: { do: 'conflict' } },
  { name: 'a restarted agent, and the old connection does not answer: in at once', change: { asked: { session: 's1', answers: false } }, expected: { do: 'begin', ends: 'superseded' } },
  { name: 'a restarted agent after one on HTTP, which cannot be asked: in at once', change: { open: { ...overHttp, id: 's1' } }, expected: { do: 'begin', ends: 'superseded' } },
  { name: 'an agent comes back whose place another one took: two with one identity', change: { supersededMsAgo: 10_000 }, expected: { do: 'conflict' } },
  { name: 'it comes back, and the other one is gone meanwhile: two all the same', change: { supersededMsAgo: 60_000, open: null }, expected: { do: 'conflict' } },
  { name: 'a word that was on its way when its sender was replaced: refused, and no conflict', change: { supersededMsAgo: 9_999 }, expected: { do: 'refuse', code: 'session_superseded' } },
  { name: 'an undecided conflict: whoever comes is refused', change: { open: null, conflict: { decidedAt: null, acceptedBootId: null } }, expected: { do: 'refuse', code: 'identity_conflict' } },
  { name: 'the agent that a person accepted: in', change: { open: null, conflict: decided }, expected: { do: 'begin', ends: null } },
  { name: 'the agent that a person did not accept: refused', change: { open: null, conflict: { ...decided, acceptedBootId: 'b1' } }, expected: { do: 'refuse', code: 'identity_refused' } },
  { name: 'the host was enrolled anew, so the new key decides: in', change: { open: null, conflict: { ...decided, acceptedBootId: null } }, expected: { do: 'begin', ends: null } },
];

test.each(cases)('$name', ({ change, expected }) => {
  expect(decideBegin({ ...facts, ...change })).toEqual(expected);
});

test('a connection that breaks young is a failed attempt, an old one is not; a renewal is no outage', () => {
  expect([isFailedAttempt('lost', 59_999), isFailedAttempt('lost', 60_000), isFailedAttempt('goodbye', 1), isFailedAttempt('protocol', 3_600_000)]).toEqual([true, false, false, true]);
  expect([isLost('lost'), isLost('goodbye'), isLost('renewed'), isLost('superseded'), isLost('api_closing')]).toEqual([true, true, false, false, false]);
});

test.each([[1000, 'goodbye'], [4000, 'renewed'], [1006, 'lost'], [1005, 'lost'], [1009, 'protocol'], [1007, 'protocol'], [1011, 'lost'], [4999, 'lost']])('a connection closed with %i has ended as %s', (code, why) => {
  expect(endOfClose(code)).toBe(why);
});
