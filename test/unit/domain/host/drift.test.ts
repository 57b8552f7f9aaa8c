import { findDrift, isUnderWay, silentRunMs, stateAsSeen, type Finding, type InstanceSight, type Meant, type Seen } from '../../../../src/domain/host/drift.ts';
import type { Intent } from '../../../../src/domain/host/state.ts';
import type { InstanceName, ReleaseId, RunId } from '../../../../src/domain/ids.ts';
import { sampleState } from '../../../support/host-samples.ts';

const [r0, r1] = ['r0', 'r1'] as [ReleaseId, ReleaseId];
const name = (text: string) => text as InstanceName;
const now = '2026-01-03T00:00:00.000Z';
const on = (releaseId: ReleaseId | null): InstanceSight => ({ status: 'active', releaseId, lastExit: null });
const as = (status: InstanceSight['status'], lastExit: string | null = null): InstanceSight => ({ status, releaseId: null, lastExit });
const well: Seen = {
  current: { target: 'releases/r1', releaseId: r1, complete: true },
  instances: { [name('api-a')]: on(r1), [name('api-b')]: on(r1), [name('web-a')]: on(r1) },
  modes: [{ path: '/etc/shop/.env.production', mode: 0o600 }],
  router: { status: 'serves', detail: 'serves what the state says' },
  memory: null,
};
const intent = (change: Partial<Intent> = {}): Intent => ({
  schema: 1, runId: 'run-7' as RunId, fence: 7, kind: 'update-apply', product: sampleState().product, phase: 'installed', fromReleaseId: r1, toReleaseId: 'r2' as ReleaseId,
  openedAt: '2026-01-02T00:00:00.000Z', backupPath: null, stranded: null, ...change,
});
const stranded = { class: 'host', code: 'x', message: 'stuck' } as const;
const meant = (change: Partial<Meant> = {}): Meant => ({ state: sampleState(), intent: null, runUnderWay: false, ...change });
const drift = (seen: Partial<Seen>, of: Partial<Meant> = {}, before: readonly Finding[] = []) => findDrift(meant(of), { ...well, ...seen }, before, now);
const instances = (change: Record<string, InstanceSight>): Partial<Seen> => ({ instances: { ...well.instances, ...change } });

test('a host that is what it is meant to be: nothing', () => {
  expect(drift({})).toEqual([]);
});

interface Case {
  readonly what: string;
  readonly seen: Partial<Seen>;
  readonly found: Partial<Finding>;
}
const cases: Case[] = [
  { what: 'current leads to another release', seen: { current: { target: 'releases/r0', releaseId: r0, complete: true } }, found: { kind: 'current_moved', subject: 'current', expected: 'r1', seen: 'releases/r0', heal: 'run' } },
  { what: 'current dangles', seen: { current: { target: 'releases/r9', releaseId: null, complete: false } }, found: { kind: 'current_moved', seen: 'releases/r9', heal: 'run' } },
  { what: 'current is gone', seen: { current: { target: null, releaseId: null, complete: false } }, found: { kind: 'current_moved', seen: 'nothing', heal: 'run' } },
  { what: 'current leads out of releases/: no run may take it away', seen: { current: { target: '/srv/mine', releaseId: null, complete: false } }, found: { kind: 'current_moved', seen: '/srv/mine', heal: 'person' } },
  { what: 'current leads above releases/', seen: { current: { target: 'releases/..', releaseId: null, complete: false } }, found: { kind: 'current_moved', heal: 'person' } },
  { what: 'current is no link', seen: { current: { target: '(no symbolic link)', releaseId: null, complete: false } }, found: { kind: 'current_moved', heal: 'person' } },
  { what: 'the COMPLETE mark is gone', seen: { current: { ...well.current, complete: false } }, found: { kind: 'current_incomplete', subject: 'current', heal: 'person' } },
  { what: 'an instance has failed', seen: instances({ 'api-b': as('failed', 'exit 1') }), found: { kind: 'instance_dead', subject: 'api-b', expected: 'r1', seen: 'failed, exit 1', heal: 'run' } },
  { what: 'an instance was stopped', seen: instances({ 'api-b': as('inactive') }), found: { kind: 'instance_dead', subject: 'api-b', seen: 'inactive' } },
  { what: 'the manager could not be asked: unknown is not dead', seen: instances({ 'api-b': as('unknown') }), found: { kind: 'instance_unasked', subject: 'api-b', seen: 'unknown', heal: 'person' } },
  { what: 'an instance runs another release', seen: instances({ 'api-b': on(r0) }), found: { kind: 'instance_on_other_release', subject: 'api-b', expected: 'r1', seen: 'r0', heal: 'run' } },
  { what: 'a conf file can be read by others', seen: { modes: [{ path: '/etc/shop/api-a.conf', mode: 0o644 }] }, found: { kind: 'config_mode', subject: '/etc/shop/api-a.conf', expected: '0600', seen: '0644', heal: 'self' } },
  { what: 'the router is dead', seen: { router: { status: 'dead', detail: 'silent' } }, found: { kind: 'router_dead', subject: 'router', seen: 'silent', heal: 'run' } },
  { what: 'the router serves something else', seen: { router: { status: 'differs', detail: 'other' } }, found: { kind: 'router_differs', subject: 'router', seen: 'other', heal: 'run' } },
];
test.each(cases)('$what', ({ seen, found }) => {
  expect(drift(seen)).toEqual([expect.objectContaining({ since: now, ...found })]);
});

test.each([
  ['an instance is starting', instances({ 'api-b': as('starting') })],
  ['an instance drains', instances({ 'api-b': as('draining') })],
  ['an instance runs, and of which release cannot be told', instances({ 'api-b': on(null) })],
  ['a conf file is stricter than it has to be', { modes: [{ path: '/x', mode: 0o400 }] }],
  ['the release has no router', { router: { status: 'none', detail: '' } as const }],
  ['the router could not be looked at', { router: { status: 'unknown', detail: 'why' } as const }],
])('%s: nothing', (_what, seen) => {
  expect(drift(seen)).toEqual([]);
});

test('an instance that runs the active release, and was told to run another one, is not left at that', () => {
  const state = sampleState();
  const told = { ...state, instances: { ...state.instances, [name('api-b')]: { ...state.instances[name('api-b')]!, releaseId: r0 } } };
  expect(drift({}, { state: told })).toEqual([expect.objectContaining({ kind: 'instance_on_other_release', subject: 'api-b', expected: 'r1' })]);
});

test.each(cases.filter(({ found }) => found.kind !== 'config_mode'))('while a run is under way, it is no drift that $what', ({ seen }) => {
  expect(drift(seen, { intent: intent(), runUnderWay: true })).toEqual([]);
});

test('a mode that no run changes is told during one as well', () => {
  expect(drift({ modes: [{ path: '/x', mode: 0o666 }] }, { intent: intent(), runUnderWay: true })).toEqual([expect.objectContaining({ kind: 'config_mode', seen: '0666' })]);
});

test.each(cases.filter(({ found }) => found.heal === 'run'))('on a stranded host a person decides when $what', ({ seen, found }) => {
  expect(drift(seen, { intent: intent({ stranded }) })).toEqual([expect.objectContaining({ kind: found.kind, heal: 'person' })]);
});

test('an intent without its run: a run replaces it where the host is settled, else a person decides which release is wanted', () => {
  expect(drift({}, { intent: intent() })).toEqual([expect.objectContaining({ kind: 'leftover_intent', subject: 'run-7', heal: 'run' })]);
  const between = { ...sampleState(), activeReleaseId: 'r2' as ReleaseId };
  expect(drift({ current: { target: 'releases/r2', releaseId: 'r2' as ReleaseId, complete: true } }, { intent: intent(), state: between }).find(({ kind }) => kind === 'leftover_intent')).toMatchObject({ heal: 'person', hint: expect.stringContaining('fairlead recover') });
});

test('memory that cannot be read: only that is told, and the modes of files', () => {
  const found = drift({ memory: 'no JSON', modes: [{ path: '/x', mode: 0o644 }], instances: {} }, { state: null });
  expect(found.map(({ kind, heal }) => [kind, heal])).toEqual([['config_mode', 'self'], ['memory_unreadable', 'person']]);
});

test('since is kept as long as it is seen, and all are sorted', () => {
  const first = drift({ ...instances({ 'web-a': as('failed'), 'api-b': as('failed') }), router: { status: 'dead', detail: '' } });
  expect(first.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(['instance_dead api-b', 'instance_dead web-a', 'router_dead router']);
  const later = findDrift(meant(), { ...well, ...instances({ 'web-a': as('inactive') }) }, first, '2026-01-04T00:00:00.000Z');
  expect(later).toEqual([expect.objectContaining({ subject: 'web-a', seen: 'inactive', since: now })]);
});

test.each([
  ['no intent', null, null, [], 0, false],
  ['a stranded one', intent({ stranded }), null, [], 0, false],
  ['the run that wrote it last commanded the host', intent(), { fence: 7, runId: 'run-7' as RunId }, [], 0, true],
  ['a later run has come', intent(), { fence: 8, runId: 'run-8' as RunId }, [], 0, false],
  ['control says that it has ended', intent(), { fence: 7, runId: 'run-7' as RunId }, ['run-7'], 0, false],
  ['control says that another one has ended', intent(), { fence: 7, runId: 'run-7' as RunId }, ['run-6'], 0, true],
  ['silent for less than a run may be', intent(), { fence: 7, runId: 'run-7' as RunId }, [], silentRunMs - 1, true],
  ['silent for longer', intent(), { fence: 7, runId: 'run-7' as RunId }, [], silentRunMs, false],
] as const)('whether a run is under way: %s', (_what, of, fence, ended, silentMs, expected) => {
  expect(isUnderWay(of, fence, new Set(ended as readonly string[] as readonly RunId[]), silentMs)).toBe(expected);
});

test('the state as seen: what is dead or not routed gets no requests, what runs another release is on that one', () => {
  const found = drift(instances({ 'api-a': on(r0), 'api-b': as('failed') }));
  const seen = stateAsSeen(sampleState(), found);
  expect(seen.instances).toMatchObject({ 'api-a': { releaseId: r0, admitted: true }, 'api-b': { releaseId: r1, admitted: false }, 'web-a': { releaseId: r1, admitted: true } });
  expect(Object.values(stateAsSeen(sampleState(), drift({ router: { status: 'dead', detail: '' } })).instances).map(({ admitted }) => admitted)).toEqual([false, false, false]);
  expect(stateAsSeen(sampleState(), [])).toEqual(sampleState());
});
