/** A schedule of control, as the server keeps it. */
export interface ScheduleStanding {
  readonly id: string;
  /** `missing`: the server has none of this name; that is so where the scheduler is off. */
  readonly state: 'running' | 'paused' | 'missing';
  /** What whoever paused it wrote. */
  readonly note: string | null;
  readonly everySeconds: number | null;
  readonly lastStartedAt: string | null;
  readonly nextAt: string | null;
}

/** What is known of the control plane at a moment. */
export interface ControlFacts {
  readonly dependencies: readonly { readonly name: string; readonly healthy: boolean; readonly detail: string }[];
  /** Processes that move runs on; null where nobody could say. */
  readonly controlWorkers: number | null;
  /** Null where nobody could say. */
  readonly schedules: readonly ScheduleStanding[] | null;
  /** Whether this copy takes connections of hosts, and hears what the other copies tell. */
  readonly fleet: { readonly listening: boolean; readonly hearsOthers: boolean };
  /** Bytes; `limit` is null where there is none. */
  readonly memory: { readonly resident: number; readonly limit: number | null };
  /** Where bundles lie. Null where it could not be read. */
  readonly disk: { readonly path: string; readonly freeBytes: number; readonly totalBytes: number } | null;
}

export interface HealthFinding {
  /** Stable, for programs. */
  readonly code: string;
  /** `failing`: something does not work now. `warning`: it works, and will not for long or not as somebody may think. */
  readonly severity: 'failing' | 'warning';
  readonly message: string;
  /** How to mend it. */
  readonly hint: string;
}

const memoryShare = 0.9;
const diskShare = 0.05;
const diskBytes = 2 ** 30;
/** So many intervals without a start are no jitter any more. */
const missedStarts = 3;

/** What is wrong with the control plane, the worst first, and how to mend each. Pure. @param now ISO 8601 */
export function findingsOf({ dependencies, controlWorkers, schedules, fleet, memory, disk }: ControlFacts, now: string): HealthFinding[] {
  const findings: HealthFinding[] = [];
  const failing = (code: string, message: string, hint: string): void => void findings.push({ code, severity: 'failing', message, hint });
  const warning = (code: string, message: string, hint: string): void => void findings.push({ code, severity: 'warning', message, hint });

  for (const { name, healthy, detail } of dependencies) if (!healthy) failing(`${name}_away`, `${name} does not answer: ${detail}`, 'See that it runs, and its log. It is tried again by itself; runs that are under way go on once it is back.');
  if (controlWorkers === 0) failing('no_control_worker', 'No control worker polls: runs are accepted and wait.', 'Start one: fairlead serve --role controller --part control; or look at why it ended.');
  if (!fleet.listening) failing('fleet_not_listening', 'This copy of the API takes no connections of hosts.', 'It is starting or closing; if that lasts, start it again.');
  else if (!fleet.hearsOthers) failing('fleet_deaf', 'This copy of the API does not hear what others tell of hosts: PostgreSQL notifications do not arrive.', 'Give the address of PostgreSQL itself: a pool that hands connections out by transaction carries no notifications.');
  for (const schedule of schedules ?? []) {
    if (schedule.state === 'paused') warning('schedule_paused', `The schedule ${schedule.id} is paused${schedule.note ? `: ${schedule.note}` : ''}.`, `It stays so until somebody starts it again: temporal schedule toggle --unpause --schedule-id ${schedule.id}`);
    if (schedule.state === 'running' && isLate(schedule, now)) warning('schedule_late', `The schedule ${schedule.id} has not started since ${schedule.lastStartedAt}, and is meant to every ${schedule.everySeconds} s.`, 'Its last start may still be at work: look for it in the Temporal Web UI.');
  }
  if (memory.limit !== null && memory.resident > memory.limit * memoryShare) warning('memory_short', `The API's process holds ${mebibytes(memory.resident)} of ${mebibytes(memory.limit)} MiB.`, 'Give it more, or start another copy beside it.');
  if (disk !== null && (disk.freeBytes < diskBytes || disk.freeBytes < disk.totalBytes * diskShare)) warning('disk_short', `${disk.path} has ${mebibytes(disk.freeBytes)} MiB left of ${mebibytes(disk.totalBytes)}.`, 'Bundles are kept there; make room, or move artifacts.dir.');
  return findings.sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
}

const isLate = ({ lastStartedAt, everySeconds }: ScheduleStanding, now: string): boolean => lastStartedAt !== null && everySeconds !== null && Date.parse(now) - Date.parse(lastStartedAt) > missedStarts * everySeconds * 1000 + 60_000;
const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
