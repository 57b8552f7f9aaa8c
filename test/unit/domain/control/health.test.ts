import { findingsOf, type ControlFacts, type ScheduleStanding } from '../../../../src/domain/control/health.ts';
import type { HealthDetailedAnswer } from '../../../../src/contract/index.ts';
import { controlFindings } from '../../../../src/cli/verbs/doctor.ts';

const now = '2026-11-21T10:00:00.000Z';
const gibibyte = 2 ** 30;
const schedule = (more: Partial<ScheduleStanding> = {}): ScheduleStanding => ({ id: 'releases', state: 'running', note: null, everySeconds: 900, lastStartedAt: '2026-11-21T09:50:00.000Z', nextAt: '2026-11-21T10:05:00.000Z', ...more });
const well: ControlFacts = {
  dependencies: [{ name: 'postgres', healthy: true, detail: 'h/d' }, { name: 'temporal', healthy: true, detail: 'serving' }],
  controlWorkers: 1,
  schedules: [schedule()],
  fleet: { listening: true, hearsOthers: true },
  memory: { resident: 200 * 2 ** 20, limit: gibibyte },
  disk: { path: '/var/lib/fairlead', freeBytes: 50 * gibibyte, totalBytes: 100 * gibibyte },
};

const answerOf = (facts: ControlFacts, hosts: Record<string, number> = { connected: 2 }): HealthDetailedAnswer => ({
  status: 'ok', version: '0', releaseId: null, startedAt: now, uptimeSeconds: 1, node: 'v24', residentBytes: 1, openStreams: 0, hosts, ...facts,
  dependencies: facts.dependencies.map((each) => ({ ...each, latencyMs: 1 })), schedules: facts.schedules && [...facts.schedules], fleet: { ...facts.fleet, connections: 2 }, findings: findingsOf(facts, now),
});

test('a control plane that is well has no findings', () => expect(findingsOf(well, now)).toEqual([]));

test.each<{ name: string; change: Partial<ControlFacts>; code: string; severity: 'failing' | 'warning'; says: RegExp }>([
  { name: 'PostgreSQL is away', change: { dependencies: [{ name: 'postgres', healthy: false, detail: 'connection refused' }] }, code: 'postgres_away', severity: 'failing', says: /connection refused/ },
  { name: 'Temporal is away', change: { dependencies: [{ name: 'temporal', healthy: false, detail: 'no answer within 3000 ms' }], controlWorkers: null, schedules: null }, code: 'temporal_away', severity: 'failing', says: /no answer/ },
  { name: 'nobody moves runs on', change: { controlWorkers: 0 }, code: 'no_control_worker', severity: 'failing', says: /runs are accepted and wait/ },
  { name: 'no host can connect', change: { fleet: { listening: false, hearsOthers: true } }, code: 'fleet_not_listening', severity: 'failing', says: /connections of hosts/ },
  { name: 'other copies are not heard', change: { fleet: { listening: true, hearsOthers: false } }, code: 'fleet_deaf', severity: 'failing', says: /notifications/ },
  { name: 'somebody paused a schedule', change: { schedules: [schedule({ state: 'paused', note: 'freeze until Monday' })] }, code: 'schedule_paused', severity: 'warning', says: /paused: freeze until Monday/ },
  { name: 'a schedule does not start any more', change: { schedules: [schedule({ lastStartedAt: '2026-11-21T08:00:00.000Z' })] }, code: 'schedule_late', severity: 'warning', says: /every 900 s/ },
  { name: 'memory comes to its limit', change: { memory: { resident: 990 * 2 ** 20, limit: gibibyte } }, code: 'memory_short', severity: 'warning', says: /990 of 1024 MiB/ },
  { name: 'a large disk is nearly full', change: { disk: { path: '/d', freeBytes: 4 * gibibyte, totalBytes: 100 * gibibyte } }, code: 'disk_short', severity: 'warning', says: /4096 MiB left/ },
  { name: 'a small disk has less than a GiB left', change: { disk: { path: '/d', freeBytes: gibibyte / 2, totalBytes: 4 * gibibyte } }, code: 'disk_short', severity: 'warning', says: /512 MiB left/ },
])('$name: it is said, with what mends it, by health and by doctor', ({ change, code, severity, says }) => {
  const facts = { ...well, ...change };
  const findings = findingsOf(facts, now);
  expect(findings).toEqual([{ code, severity, message: expect.stringMatching(says), hint: expect.stringMatching(/\.|:/) }]);
  const shown = controlFindings(answerOf(facts));
  expect(shown.filter(({ state }) => state !== 'ok')).toEqual([{ name: expect.any(String), state: severity === 'failing' ? 'missing' : 'absent', detail: findings[0]!.message, mend: findings[0]!.hint }]);
});

test('a scheduler that is off, a schedule that never started yet, and no limit of memory are no faults', () => {
  expect(findingsOf({ ...well, schedules: [schedule({ state: 'missing', lastStartedAt: null }), schedule({ lastStartedAt: null })], memory: { resident: gibibyte, limit: null }, disk: null }, now)).toEqual([]);
});

test('what does not work stands before what only will not last', () => {
  expect(findingsOf({ ...well, controlWorkers: 0, schedules: [schedule({ state: 'paused' })] }, now).map(({ severity }) => severity)).toEqual(['failing', 'warning']);
});

test('hosts that nobody hears are no fault of the control plane, and doctor says so all the same', () => {
  expect(findingsOf(well, now)).toEqual([]);
  expect(controlFindings(answerOf(well, { connected: 2, disconnected: 1, error: 1 })).filter(({ state }) => state !== 'ok')).toEqual([{ name: 'fleet', state: 'absent', detail: '1 hosts are not heard, 1 have failed again and again.', mend: expect.stringContaining('fairlead nodes list') }]);
});
