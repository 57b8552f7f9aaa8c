import type { ControlFacts, ScheduleStanding } from '../domain/control/health.ts';

/** What the API's process knows of the machine that it runs on, and of the schedules of control. None of them fails. */
export interface ControlMachine {
  /** Null where the server does not answer. */
  schedules(): Promise<readonly ScheduleStanding[] | null>;
  memory(): Promise<ControlFacts['memory']>;
  disk(): Promise<ControlFacts['disk']>;
}
