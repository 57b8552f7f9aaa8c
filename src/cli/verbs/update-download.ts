import { setTimeout as pause } from 'node:timers/promises';
import type { UpdateDownload, UpdateDownloadAnswer, UpdateDownloadCancelAnswer, UpdateStatusAnswer } from '../../contract/index.ts';
import { ApiUnreachable, type ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import type { AcceptedOptions } from './follow-accepted.ts';
import { connectionWords, query, type CommonOptions } from './shared.ts';

const lookMs = 500;

/** Stays with a bundle on its way to a host until it is there, unless it was detached; it goes on by itself. */
export async function followDownload(api: ApiClient, answer: UpdateDownloadAnswer, options: AcceptedOptions, context: Context): Promise<void> {
  const { host, product, releaseId, sha256, transfer } = answer;
  const words = connectionWords(options);
  if (transfer !== null) context.note(`${product} ${releaseId} ${transfer.joined ? 'is on its way' : 'goes'} to ${host}, ${answer.sizeBytes} bytes`);
  if (options.detach === true || transfer === null) {
    if (options.json) printJson(context, answer);
    else context.out(`${sha256}\n`);
    return context.note(`see how far it is: fairlead update status --host ${host} --product ${product}${words}`);
  }
  const limit = options.timeout === undefined ? [] : [AbortSignal.timeout(Math.ceil(options.timeout * 1_000))];
  const leave = AbortSignal.any([context.interrupted, ...limit]);
  const download = await untilFetched(api, answer, context, leave).catch((error: unknown) => {
    if (!leave.aborted) throw error;
    const why = context.interrupted.aborted ? 'detached; the download goes on' : `not there after ${options.timeout} s; the download goes on`;
    throw new CommandFailure(exitCodes.stillRunning, why, `come back: fairlead update download ${releaseId} --host ${host} --product ${product}${words}`);
  });
  if (options.json) printJson(context, download);
  else if (download.state === 'fetched') context.out(`${product} ${releaseId} is on ${host}, verified\n`);
  if (download.state === 'fetched') return context.note(`apply it: fairlead update apply ${releaseId} --host ${host} --product ${product}${words}`);
  context.note(`${product} ${releaseId} did not come to ${host}: ${download.reason?.message ?? 'nobody said why'}${download.reason?.hint === undefined ? '' : `\n${download.reason.hint}`}`);
  context.exitWith(exitCodes.failed);
}

/** Ends what is on its way to a host. */
export async function cancelDownload(api: ApiClient, target: { readonly host: string; readonly product: string }, { json }: CommonOptions, context: Context): Promise<void> {
  const answer = await api.delete<UpdateDownloadCancelAnswer>(`/api/updates/download${query(target)}`);
  if (json) return printJson(context, answer);
  const { host, product, releaseId } = answer;
  if (releaseId === null) return context.note(`nothing of ${product} is on its way to ${host}`);
  context.out(`${product} ${releaseId} is no longer brought to ${host}\n`);
  context.note(`what has come so far stays there; go on: fairlead update download ${releaseId} --host ${host} --product ${product}`);
}

async function untilFetched(api: ApiClient, { host, product, releaseId, sha256 }: UpdateDownloadAnswer, context: Context, leave: AbortSignal): Promise<UpdateDownload> {
  let told = '';
  const tell = (line: string): void => {
    if (line !== told) context.note((told = line));
  };
  for (;;) {
    leave.throwIfAborted();
    try {
      const { download } = await api.get<UpdateStatusAnswer>(`/api/updates/status${query({ host, product })}`, { cancel: leave });
      if (download !== null) {
        if (download.sha256 !== sha256) throw new CommandFailure(exitCodes.failed, `the download of ${releaseId} has ended: somebody asked for ${download.releaseId} instead`, `one bundle of ${product} is on its way to ${host} at a time`);
        if (download.state === 'fetched' || download.state === 'failed') return download;
        tell(lineOf(download));
      }
    } catch (error) {
      leave.throwIfAborted();
      if (!(error instanceof ApiUnreachable)) throw error;
      tell(`${error.message}; the download goes on without it, trying again …`);
    }
    await pause(lookMs, undefined, { signal: leave });
  }
}

/** Where a download is, in words. */
export function lineOf({ state, progress, waiting, reason, endedAt }: UpdateDownload): string {
  if (waiting !== null) return `waits for ${waiting.for}, until ${waiting.until}; ends with: ${waiting.release}`;
  if (state === 'fetched') return `there, since ${endedAt}`;
  if (state === 'failed') return `failed at ${endedAt}: ${reason?.message ?? ''}`;
  // Tens of percent: a line for each, and not for every look.
  return progress === null ? 'under way' : `${progress.what}: ${Math.floor((10 * progress.done) / Math.max(progress.total, 1)) * 10} %`;
}
