import type { RolloutCommand } from '../../src/domain/rollout/command.ts';
import type { RolloutEvent } from '../../src/domain/rollout/event.ts';

/** The fact that a command of a person is, once it is taken. */
export function eventOfCommand(command: RolloutCommand, at: string): RolloutEvent {
  switch (command.command) {
    case 'pause':
      return { type: 'PauseRequested', at, by: command.by, comment: command.comment };
    case 'resume':
      return { type: 'ResumeRequested', at, by: command.by };
    case 'retry':
      return { type: 'RetryRequested', at, by: command.by };
    case 'abort':
      return { type: 'AbortRequested', at, by: command.by, comment: command.comment, updated: command.updated };
    case 'promote':
      return { type: 'PromoteRequested', at, by: command.by };
    case 'approve':
      return { type: 'GateApproved', at, gate: command.gate, approval: { ...command.approval, at } };
    case 'reject':
      return { type: 'GateRejected', at, gate: command.gate, approval: { ...command.approval, at } };
  }
}

/** What the audit keeps of it beside who and what. */
export function commandDetail(command: RolloutCommand): Readonly<Record<string, unknown>> {
  if (command.command === 'approve' || command.command === 'reject') return { gate: command.gate, role: command.approval.role, comment: command.approval.comment };
  if (command.command === 'abort') return { comment: command.comment, updated: command.updated };
  return command.command === 'pause' ? { comment: command.comment } : {};
}
