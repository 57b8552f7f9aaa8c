import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AcmeIssuerConfiguration } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import { ensureDirectory, readIfThere, removeFileDurably, settleDirectory, writeFileDurably } from '../../files/durable.ts';
import { createAcmeClient, type AcmeClient } from './client.ts';
import { AcmeProblem } from './problem.ts';
import { createAcmeTransport } from './transport.ts';

export interface AcmeContext {
  /** The state root's `acme`: accounts, orders, staged pairs. */
  readonly directory: string;
  readonly now: () => number;
  /** For one request to the CA. */
  readonly timeoutMs: number;
}

/** How far the host's clock may be from the CA's: beyond it, no date of a certificate can be judged. */
const clockLimitMs = 24 * 3_600_000;

/**
 * Works with the host's account at a CA. The key is made once and kept (0600); the account is found again by it, also where the CA has forgotten the
 * account, as a CA that was set up anew.
 * @param work may be called twice: with an account that the CA turns out not to know, and then with a new one
 */
export async function withAccount<T>(context: AcmeContext, issuer: AcmeIssuerConfiguration, work: (client: AcmeClient) => Promise<T>): Promise<T> {
  const at = join(context.directory, 'accounts', accountName(issuer));
  const [keyFile, accountFile] = [join(at, 'key.pem'), join(at, 'account.json')];
  await ensureDirectory(at, 0o700);
  await settleDirectory(at);
  const kept = await readIfThere(accountFile);
  const client = createAcmeClient({
    directoryUrl: issuer.directoryUrl,
    accountKey: await accountKey(keyFile),
    accountUrl: kept === null ? null : (JSON.parse(kept) as { url: string }).url,
    externalAccountBinding: await readBinding(issuer),
    transport: createAcmeTransport({ caBundle: issuer.caBundleFile === null ? null : await readConfigured(issuer.caBundleFile), directoryUrl: issuer.directoryUrl, timeoutMs: context.timeoutMs }),
    now: context.now,
  });
  await client.directory();
  assertClock(client);
  const register = async (): Promise<void> => writeFileDurably(accountFile, JSON.stringify({ url: await client.register(issuer.contact), directoryUrl: issuer.directoryUrl }), 0o600);
  if (kept === null) await register();
  try {
    return await work(client);
  } catch (error) {
    if (kept === null || !(error instanceof AcmeProblem) || error.type !== 'accountDoesNotExist') throw error;
    await removeFileDurably(accountFile);
    await register();
    return await work(client);
  }
}

/** One account for each CA and, where it asks for one, each external account. */
function accountName({ directoryUrl, externalAccountBinding }: AcmeIssuerConfiguration): string {
  return createHash('sha256').update(`${directoryUrl} ${externalAccountBinding?.keyIdentifier ?? ''}`).digest('hex').slice(0, 32);
}

async function accountKey(keyFile: string): Promise<string> {
  const kept = await readIfThere(keyFile);
  if (kept !== null) return kept;
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeFileDurably(keyFile, key, 0o600);
  return key;
}

async function readBinding({ externalAccountBinding: binding }: AcmeIssuerConfiguration): Promise<{ kid: string; hmacKey: string } | null> {
  return binding === null ? null : { kid: binding.keyIdentifier, hmacKey: (await readConfigured(binding.hmacKeyFile)).trim() };
}

async function readConfigured(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FairleadError({ class: 'request', code: 'issuer_file_unreadable', message: `${path}, which the issuer names, cannot be read.`, hint: 'Put it there, readable by the agent, or change the issuer.' }, { cause: error });
  }
}

function assertClock(client: AcmeClient): void {
  const aheadMs = client.clockAheadMs();
  if (aheadMs === null || Math.abs(aheadMs) <= clockLimitMs) return;
  const days = (Math.abs(aheadMs) / 86_400_000).toFixed(1);
  throw new FairleadError({
    class: 'host',
    code: 'clock_wrong',
    message: `The host's clock is ${days} days ${aheadMs > 0 ? 'ahead of' : 'behind'} the CA's; the limit is one day. No certificate is asked for, since its dates could not be judged.`,
    hint: 'Set the clock (timedatectl set-ntp true; chronyc makestep), then renew.',
  });
}
