import { FairleadError, type FailureClass } from '../../../domain/failure.ts';
import type { CommandResult } from '../../../ports/command-runner.ts';

/** What certbot prints for each kind of failure. The first that fits is taken. */
const failures: readonly { readonly pattern: RegExp; readonly class: FailureClass; readonly code: string; readonly hint: string }[] = [
  // It exits with 0 all the same: the certificate is there, and whoever was to be told of it was not. That one "ran with error output" is no failure.
  { pattern: /Hook '[^\n]*'[^\n]* reported error code|(?:[\w-]*hook|Hook) command "[^\n]*" returned error code/i, class: 'host', code: 'certbot_hook_failed', hint: "Run the hook by hand; certbot's log (--logs-dir) has what it printed." },
  { pattern: /Another instance of Certbot is already running/, class: 'dependency', code: 'certbot_busy', hint: 'It is tried again once the other one has ended.' },
  { pattern: /too many (?:certificates|failed authorizations|new orders|registrations)|rateLimited|rate limit/i, class: 'dependency', code: 'ca_rate_limited', hint: 'It is tried again later; the certificate in use stays.' },
  { pattern: /Failed to establish a new connection|Connection refused|ConnectionError|Max retries exceeded|Read timed out/, class: 'dependency', code: 'ca_away', hint: 'Nothing has to be done while the certificate in use is valid: it is tried again.' },
  { pattern: /CERTIFICATE_VERIFY_FAILED|SSLError/, class: 'dependency', code: 'ca_tls_failed', hint: "Give the issuer the CA's bundle (caBundleFile), and check the host's clock." },
  { pattern: /Some challenges have failed|challenge[s]? failed|failed to authenticate some domains/i, class: 'dependency', code: 'validation_failed', hint: 'Port 80 of the name has to lead to this host from outside; for DNS, the TXT record has to be at every name server before the hook ends.' },
];

/** What a run of certbot came to: null where it and all of its hooks succeeded. */
export function certbotFailure(result: CommandResult): FairleadError | null {
  const output = `${result.stderr}\n${result.stdout}`;
  const seen = failures.find(({ pattern, code }) => pattern.test(output) && (result.exitCode !== 0 || code === 'certbot_hook_failed'));
  if (result.exitCode === 0 && seen === undefined) return null;
  const end = result.timedOut ? 'was ended at its limit' : result.exitCode === null ? 'could not be run, or was killed' : `exited with ${result.exitCode}`;
  const message = `certbot ${end}${saidIn(output) === '' ? '' : `: ${saidIn(output)}`}`;
  return new FairleadError({ class: seen?.class ?? 'dependency', code: seen?.code ?? 'certbot_failed', message, hint: seen?.hint ?? "Look at certbot's log (--logs-dir)." });
}

/** Of its output the lines that name a cause. certbot prints no key; hooks may print anything, so their output is left out. */
function saidIn(output: string): string {
  const telling = output.split('\n').filter((line) => /^\s*(?:Detail|Type|Domain): |returned error code|reported error code|Another instance|^An unexpected error|Error(?: |:)/.test(line));
  return telling.map((line) => line.trim()).join(' ').slice(0, 400);
}
