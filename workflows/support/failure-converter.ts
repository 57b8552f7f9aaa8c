import { DefaultFailureConverter } from '@temporalio/common';

/**
 * How failures leave the sandbox. Where payloads are encrypted, the worker replaces the word below in the bundle, and messages and stacks go where the codec reaches
 * them; otherwise they stay readable in the Web UI. A sandbox knows of no setting, so the word is the setting.
 */
const failures: string = 'fairlead-failures-plain';

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: failures.endsWith('-coded') });
