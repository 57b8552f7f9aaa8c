import * as fs from 'node:fs/promises';
import { FairleadError } from '../../../domain/failure.ts';
import { type HostLayout } from '../../../domain/host/layout.ts';
import { type ReleaseId, releaseIdPattern } from '../../../domain/ids.ts';
import { errnoOf, exists, isMissing } from '../../files/durable.ts';

/**
 * The release that `current` resolves to; null where there is no link, or where the release it names is gone.
 * Throws `current_invalid` for anything that Fairlead did not put there: another program's file, a link that leaves `releases/`.
 */
export async function readCurrent(layout: HostLayout): Promise<ReleaseId | null> {
  const named = await readCurrentLink(layout);
  return named !== null && (await exists(layout.releaseDir(named))) ? named : null;
}

/** What the link names, whether it is there or not. */
export async function readCurrentLink(layout: HostLayout): Promise<ReleaseId | null> {
  const { currentLink } = layout;
  let target: string;
  try {
    target = await fs.readlink(currentLink);
  } catch (error) {
    if (isMissing(error)) return null;
    if (errnoOf(error) === 'EINVAL') throw invalid(`${currentLink} is no symbolic link.`);
    throw error;
  }
  const releaseId = target.startsWith('releases/') ? target.slice('releases/'.length) : '';
  if (!releaseIdPattern.test(releaseId)) throw invalid(`${currentLink} leads to ${JSON.stringify(target)}; it must lead to a release below releases/.`);
  return releaseId as ReleaseId;
}

function invalid(message: string): FairleadError {
  return new FairleadError({
    class: 'host',
    code: 'current_invalid',
    message,
    hint: 'Something other than Fairlead changed it. Find out what, move it away, and activate a release again.',
  });
}
