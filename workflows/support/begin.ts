import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

/** Whether a child was started: false where one is under way, or there, under the id that is its lock. What fails otherwise is thrown. */
export async function isBegun(start: () => Promise<unknown>): Promise<boolean> {
  try {
    await start();
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
