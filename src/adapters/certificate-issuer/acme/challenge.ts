import { join } from 'node:path';
import type { Challenge } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import { ensureDirectory, removeFileDurably, writeFileDurably } from '../../files/durable.ts';
import type { NotedChallenge } from '../order-file.ts';

/** Where the CA asks for the proof, below the router's webroot (RFC 8555, 8.3). */
const wellKnown = '.well-known/acme-challenge';

/** Puts a proof where the CA looks. Idempotent. @throws FairleadError `dns_hook_failed` */
export async function presentChallenge(commands: CommandRunner, challenge: Challenge, noted: NotedChallenge): Promise<void> {
  if (challenge.kind === 'http-01' && noted.kind === 'http-01') {
    await ensureDirectory(join(challenge.webroot, wellKnown), 0o755);
    // The router serves it under another account.
    await writeFileDurably(join(challenge.webroot, wellKnown, noted.where), noted.value, 0o644);
  } else if (challenge.kind === 'dns-01' && noted.kind === 'dns-01') {
    await runHook(commands, challenge, 'present', noted);
  }
}

/** Takes a proof away; one that is not there is fine for files, and has to be for hooks. @throws FairleadError `dns_hook_failed` */
export async function cleanupChallenge(commands: CommandRunner, challenge: Challenge, noted: NotedChallenge): Promise<void> {
  if (challenge.kind === 'http-01' && noted.kind === 'http-01') {
    await ensureDirectory(join(challenge.webroot, wellKnown), 0o755);
    await removeFileDurably(join(challenge.webroot, wellKnown, noted.where));
  } else if (challenge.kind === 'dns-01' && noted.kind === 'dns-01') {
    await runHook(commands, challenge, 'cleanup', noted);
  }
}

/** The argument list of a hook. */
export const hookCommand = (hook: readonly string[], verb: 'present' | 'cleanup', { where, value }: Pick<NotedChallenge, 'where' | 'value'>): string[] => [...hook, verb, where, value];

async function runHook(commands: CommandRunner, { hook, timeoutSeconds }: Extract<Challenge, { kind: 'dns-01' }>, verb: 'present' | 'cleanup', noted: NotedChallenge): Promise<void> {
  const result = await commands.run(hookCommand(hook, verb, noted), { timeoutMs: timeoutSeconds * 1_000, only: { FAIRLEAD_DNS_HOOK: noted.where }, maxOutputBytes: 16_384 });
  if (result.exitCode === 0) return;
  throw new FairleadError({
    class: 'host',
    code: 'dns_hook_failed',
    // What it printed stays on the host: hooks hold the credentials of a DNS provider, and may print them.
    message: `The DNS hook failed to ${verb} ${noted.where}: ${result.timedOut ? `it was ended at its limit of ${timeoutSeconds} s` : result.exitCode === null ? 'it could not be run, or was killed' : `it exited with ${result.exitCode}`}.`,
    hint: `Run it by hand on the host: ${hook.join(' ')} ${verb} ${noted.where} test`,
  });
}
