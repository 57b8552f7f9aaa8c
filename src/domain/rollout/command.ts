import type { Reason } from '../failure.ts';
import { refuseApproval, type Approval } from './gate.ts';
import type { FailurePolicy } from './request.ts';
import type { RolloutState } from './state.ts';

/** What people may ask of a rollout that is open. */
export type RolloutCommand =
  | { readonly command: 'pause'; readonly by: string; readonly comment: string | null }
  | { readonly command: 'resume' | 'retry'; readonly by: string }
  /** `updated`: what becomes of hosts that are updated already. */
  | { readonly command: 'abort'; readonly by: string; readonly comment: string | null; readonly updated: FailurePolicy }
  | { readonly command: 'promote'; readonly by: string; readonly role: string }
  | { readonly command: 'approve' | 'reject'; readonly gate: string; readonly approval: Pick<Approval, 'by' | 'role' | 'comment'> };

/**
 * Why a command cannot be taken now, or null. Whatever passes here is an event that `nextRolloutState` takes: a workflow checks by this before it accepts. Who may command at all is
 * the API's question; here only what concerns this rollout: nobody opens a gate by promoting that they might not open by approving.
 */
export function refuseCommand(state: RolloutState, asked: RolloutCommand): Reason | null {
  const refuse = (code: string, message: string, hint: string): Reason => ({ class: 'request', code, message, hint });
  const { command } = asked;
  if (state.phase === 'Ended') return refuse('rollout_ended', `The rollout has ended (${state.outcome}).`, command === 'retry' ? 'Start it again: hosts that are on the release are left alone, so it goes on where it failed.' : 'Start another one: fairlead rollout start');
  if (command === 'abort') return null;
  if (state.phase === 'Requested' || state.phase === 'Queued') return refuse('rollout_not_begun', 'The rollout has not begun.', 'Abort it, or wait for its turn.');
  switch (command) {
    case 'pause':
      return null;
    case 'resume':
      if (state.phase === 'Halted') return refuse('rollout_halted', 'The rollout failed; it is not paused.', 'Retry or abort it.');
      return state.pause === null ? refuse('not_paused', 'The rollout is not paused.', 'See what it waits for: fairlead rollout why') : null;
    case 'retry':
      if (state.phase === 'Halted' || (state.phase === 'Rolling' && state.stopping === null)) return null;
      return refuse('nothing_to_retry', `The rollout is ${state.phase === 'Rolling' ? 'stopping' : state.phase}: no wave is there whose hosts could be tried again.`, 'Retry while a wave runs or when the rollout is halted; once it has ended, start it again.');
    case 'promote': {
      if (state.phase === 'Baking') return null;
      if (state.phase !== 'Gated') return refuse('nothing_to_promote', `The rollout is ${state.phase}: no bake time and no gate is before it.`, 'See what it waits for: fairlead rollout why');
      const refusals = state.gates.filter(({ gate, open }) => gate.kind === 'approval' && !open).map((standing) => refuseApproval(standing, { by: asked.by, role: asked.role, comment: 'promoted' }, state.outline.requestedBy));
      return refusals.find((reason) => reason !== null) ?? null;
    }
    case 'approve':
    case 'reject': {
      const standing = state.phase === 'Gated' ? state.gates.find(({ gate }) => gate.name === asked.gate) : undefined;
      if (!standing) return refuse('gate_not_asked', `The rollout does not stand at a gate ${asked.gate}.`, 'See what it waits for: fairlead rollout why');
      return refuseApproval(standing, asked.approval, state.outline.requestedBy);
    }
  }
}
