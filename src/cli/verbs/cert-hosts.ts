import { setTimeout as sleep } from 'node:timers/promises';
import type { CertificateList } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { query } from './shared.ts';

type Entry = CertificateList['certificates'][number];

export interface FollowedCertificate {
  readonly host: string;
  readonly product: string;
  readonly alsoOn: readonly string[];
  /** When it was asked for, by this machine's clock; milliseconds since the epoch. */
  readonly since: number;
  /** Null: to the end. */
  readonly timeoutSeconds: number | null;
}

const lookMs = 1_000;
/** Clocks of this machine and of control may differ by so much. */
const leewayMs = 60_000;

/** Stays with the other hosts until each serves the certificate of the first one, or has said why not. @throws CommandFailure where one does not, or time is over */
export async function followReceivers(api: ApiClient, { host, product, alsoOn, since, timeoutSeconds }: FollowedCertificate, context: Context): Promise<void> {
  const told = new Set<string>();
  const failed: string[] = [];
  for (;;) {
    const { certificates } = await api.get<CertificateList>(`/api/certificates${query({ product })}`);
    const serial = certificates.find((entry) => entry.host === host)?.status.serial ?? null;
    for (const entry of certificates.filter((each) => alsoOn.includes(each.host) && !told.has(each.host))) {
      const ended = endOf(entry, serial, since - leewayMs);
      if (ended === null) continue;
      told.add(entry.host);
      context.note(`${entry.host}: ${ended.text}`);
      if (!ended.serves) failed.push(entry.host);
    }
    if (told.size === new Set(alsoOn).size) break;
    if (timeoutSeconds !== null && Date.now() - since > timeoutSeconds * 1_000) {
      throw new CommandFailure(exitCodes.stillRunning, `${alsoOn.filter((other) => !told.has(other)).join(', ')} did not serve it within ${timeoutSeconds} s`, 'it goes on; see: fairlead cert status');
    }
    await sleep(lookMs);
  }
  if (failed.length > 0) throw new CommandFailure(exitCodes.rolledBack, `${failed.join(', ')} does not serve the certificate of ${host}`, `what was served there before still is; once that is mended: fairlead cert renew --host ${host} --product ${product}`);
}

/** Null while it is under way. */
function endOf({ status, run }: Entry, serial: string | null, since: number): { readonly serves: boolean; readonly text: string } | null {
  if (run !== null) return null;
  if (serial !== null && status.serial === serial) return { serves: true, text: `serves ${serial}, valid until ${status.notAfter}` };
  const { lastTry } = status;
  if (lastTry === null || lastTry.succeeded || Date.parse(lastTry.at) < since) return null;
  return { serves: false, text: `${lastTry.reason?.code ?? 'failed'}: ${lastTry.reason?.message ?? ''}${status.nextTryAt === null ? '' : ` Next try ${status.nextTryAt}.`}` };
}
