import type { RunAccepted } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { followRun } from '../follow.ts';
import { connectionWords, type CommonOptions } from './shared.ts';

export interface AcceptedOptions extends CommonOptions {
  readonly detach?: boolean;
  /** Seconds. */
  readonly timeout?: number;
}

/** Says which run was started, and stays with it to its end unless it was detached. @param what `noderax-platform on h1 to r2` */
export async function followAccepted(api: ApiClient, accepted: RunAccepted, what: string, options: AcceptedOptions, context: Context): Promise<void> {
  const words = connectionWords(options);
  context.note(`run ${accepted.runId}: ${what}`);
  if (accepted.links.temporalUi !== null) context.note(`  ${accepted.links.temporalUi}`);
  if (options.detach === true) {
    if (options.json) printJson(context, accepted);
    else context.out(`${accepted.runId}\n`);
    context.note(`follow it: fairlead runs watch ${accepted.runId}${words}`);
    return;
  }
  await followRun(api, accepted.runId, context, { json: options.json === true, timeoutSeconds: options.timeout ?? null, comeBack: words });
}
