import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { FairleadError, type Reason } from '../../domain/failure.ts';
import { controlTaskQueue, rolloutWorkflowId } from '../../domain/ids.ts';
import { fleetRolloutWorkflow, freezeChangedSignal, rolloutCommandUpdate } from '../../domain/rollout/names.ts';
import type { RolloutStanding } from '../../domain/rollout/standing.ts';
import { progressQuery } from '../../domain/run/names.ts';
import type { RolloutStarter } from '../../ports/rollout-starter.ts';
import { createAsk } from './ask-server.ts';
import { createClient, foundBy, type ClientOptions } from './client.ts';

/** A command is written to the audit before it is taken: it waits for the database as well. */
const commandLimitMs = 15_000;

/** Starts rollouts on a Temporal server, and commands them by updates, so that a refusal has words. */
export function createTemporalRolloutStarter({ connection, address, namespace, codec = null, interceptors = {}, workflowTaskTimeoutMs }: ClientOptions): RolloutStarter {
  const client = createClient({ connection, namespace, codec, interceptors });
  const ask = createAsk(connection, address);

  return {
    async startRollout(input) {
      const { rolloutId, request } = input;
      const workflowId = rolloutWorkflowId(rolloutId);
      try {
        await ask(() =>
          client.workflow.start(fleetRolloutWorkflow, {
            workflowId,
            taskQueue: controlTaskQueue,
            workflowIdConflictPolicy: 'FAIL',
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            args: [input],
            workflowTaskTimeout: workflowTaskTimeoutMs,
            memo: { requestId: request.requestId, requestedBy: request.requestedBy },
            staticSummary: `${request.product} ${request.releaseId} across the fleet`,
            staticDetails: `Asked for by ${request.requestedBy}.`,
            typedSearchAttributes: foundBy({ product: request.product, release: request.releaseId }),
          }),
        );
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
      return { workflowId };
    },

    async command(rolloutId, command, commandId) {
      try {
        return await ask(() => client.workflow.getHandle(rolloutWorkflowId(rolloutId)).executeUpdate<RolloutStanding, [object]>(rolloutCommandUpdate, { updateId: commandId, args: [{ ...command, commandId }] }), commandLimitMs);
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) throw ended(rolloutId);
        const reason = reasonOf(error);
        throw reason === null ? error : new FairleadError(reason, { cause: error });
      }
    },

    async standing(rolloutId) {
      try {
        return await ask(() => client.workflow.getHandle(rolloutWorkflowId(rolloutId)).query<RolloutStanding>(progressQuery));
      } catch {
        return null; // Server or worker: whoever is away, the stored standing is what there is.
      }
    },

    async freezeChanged(rolloutIds) {
      for (const rolloutId of rolloutIds) {
        await ask(() => client.workflow.getHandle(rolloutWorkflowId(rolloutId)).signal(freezeChangedSignal)).catch((error: unknown) => (error instanceof WorkflowNotFoundError ? undefined : Promise.reject(error)));
      }
    },
  };
}

/** The words of a refusal, as the workflow gave them. */
function reasonOf(error: unknown): Reason | null {
  const cause = error instanceof WorkflowUpdateFailedError ? error.cause : null;
  return cause instanceof ApplicationFailure ? ((cause.details?.[0] as { reason?: Reason } | undefined)?.reason ?? null) : null;
}

const ended = (rolloutId: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'rollout_ended', message: `Rollout ${rolloutId} has ended.`, hint: `See how: fairlead rollout status ${rolloutId}` });
