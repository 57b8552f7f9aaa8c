import { DefaultFailureConverter } from '@temporalio/common';

/** The same as `workflows/support/failure-converter.ts`, for what fails outside of the sandbox. The SDK loads it by its path. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
