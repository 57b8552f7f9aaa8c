import { ensureDirectory, readIfThere, writeFileDurably } from '../../adapters/files/durable.ts';
import { FairleadError } from '../../domain/failure.ts';
import { agentLayout } from '../../domain/host/layout.ts';

export interface EnrollOptions {
  /** Address of the API. */
  readonly controller: string;
  readonly token: string;
  /** Null: the token names it. */
  readonly hostId: string | null;
  readonly root: string;
  /** Whether a key that is here may be overwritten. */
  readonly replace: boolean;
}

/**
 * Exchanges a one-time token for the host's own key and writes that into the agent's key file, 0600. A running agent reads it with its next connection.
 *
 * @throws FairleadError `host_has_key` before the token is used; what the API refused the token with (`enrolment_used`, `enrolment_expired`, …)
 */
export async function enrollHost({ controller, token, hostId, root, replace }: EnrollOptions): Promise<{ host: string; role: string; keyFile: string }> {
  const { agentKeyFile: keyFile, configDir } = agentLayout(root);
  if (!replace && (await readIfThere(keyFile))?.trim()) {
    throw new FairleadError({ class: 'request', code: 'host_has_key', message: `This host has a key already: ${keyFile}. The token was not used.`, hint: 'Give --replace to have a new one in its place.' });
  }
  await ensureDirectory(configDir, 0o755);
  const url = new URL('/api/enrolments/exchange', controller);
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, host: hostId }),
    signal: AbortSignal.timeout(30_000),
    redirect: 'error',
  }).catch((cause: unknown) => {
    throw new FairleadError({ class: 'dependency', code: 'api_unreachable', message: `${url.origin} cannot be reached.`, hint: 'Check the address and the network. The token can be used still.' }, { retryable: true, cause });
  });
  const answer = (await response.json().catch(() => null)) as { host?: string; role?: string; key?: string; code?: string; detail?: string; hint?: string | null } | null;
  if (response.status !== 201 || !answer?.key || !answer.host || !answer.role) {
    throw new FairleadError({ class: 'request', code: answer?.code ?? 'api_refused', message: answer?.detail ?? `${url.href} answered ${response.status}, and not as a Fairlead API does.`, ...(answer?.hint ? { hint: answer.hint } : {}) });
  }
  await writeFileDurably(keyFile, `${answer.key}\n`, 0o600);
  return { host: answer.host, role: answer.role, keyFile };
}
