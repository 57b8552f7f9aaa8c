import type { WorkflowInterceptors } from '@temporalio/workflow';
import { traceHeader } from '../../src/domain/run/trace-header.ts';

/**
 * Hands the trace that a workflow was started with to all that it starts: activities, children, and its own next execution. Temporal does not do so by itself.
 *
 * It makes no ids, asks for no time, gives no commands and awaits nothing, so a replay cannot tell whether it is there: a payload is copied as it came, and
 * where none came nothing is. Spans are made by others, outside of workflows (docs/decisions/0025).
 */
export function interceptors(): WorkflowInterceptors {
  let came: object = {};
  const handed = <Input extends { readonly headers: object }>(input: Input): Input => ({ ...input, headers: { ...input.headers, ...came } });
  return {
    inbound: [
      {
        execute(input, next) {
          const payload = input.headers[traceHeader];
          came = payload === undefined ? {} : { [traceHeader]: payload };
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next(handed(input)),
        startChildWorkflowExecution: (input, next) => next(handed(input)),
        continueAsNew: (input, next) => next(handed(input)),
      },
    ],
  };
}
