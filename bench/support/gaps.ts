import type { Connection } from '@temporalio/client';

/** Where the time of a run went, in milliseconds, by the server's own clock: sums over its history. */
export interface Gaps {
  readonly 'activity: scheduled to taken up': number;
  readonly 'activity: taken up to answered': number;
  readonly 'workflow: event to task taken up': number;
  readonly 'workflow: task taken up to answered': number;
  readonly workflowTasks: number;
  readonly timers: number;
}

/** Reads the history of a run that is over. @throws what the server answers where it does not know the run */
export async function gapsOf(connection: Connection, workflowId: string, runId: string): Promise<Gaps> {
  const { history } = await connection.workflowService.getWorkflowExecutionHistory({ namespace: 'default', execution: { workflowId, runId }, maximumPageSize: 1000 });
  const events = history?.events ?? [];
  const at = new Map(events.map(({ eventId, eventTime }) => [Number(eventId), Number(eventTime?.seconds) * 1000 + (eventTime?.nanos ?? 0) / 1e6]));
  const since = (from: unknown, to: unknown): number => (at.get(Number(to)) ?? 0) - (at.get(Number(from)) ?? 0);
  const sum = { 'activity: scheduled to taken up': 0, 'activity: taken up to answered': 0, 'workflow: event to task taken up': 0, 'workflow: task taken up to answered': 0, workflowTasks: 0, timers: 0 };
  for (const event of events) {
    const taken = event.activityTaskStartedEventAttributes;
    const answered = event.activityTaskCompletedEventAttributes;
    const begun = event.workflowTaskStartedEventAttributes;
    const decided = event.workflowTaskCompletedEventAttributes;
    if (taken) sum['activity: scheduled to taken up'] += since(taken.scheduledEventId, event.eventId);
    if (answered) sum['activity: taken up to answered'] += since(answered.startedEventId, event.eventId);
    if (begun) sum['workflow: event to task taken up'] += since(begun.scheduledEventId, event.eventId);
    if (decided) {
      sum['workflow: task taken up to answered'] += since(decided.startedEventId, event.eventId);
      sum.workflowTasks += 1;
    }
    if (event.timerStartedEventAttributes) sum.timers += 1;
  }
  return sum;
}
