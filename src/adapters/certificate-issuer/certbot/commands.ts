import type { CertbotIssuerConfiguration, CertificateRequest } from '../../../domain/certificate/request.ts';
import { hookCommand } from '../acme/challenge.ts';
import { quoteForShell } from '../../../domain/shell-word.ts';

export type CertbotRequest = CertificateRequest & { readonly issuer: CertbotIssuerConfiguration };

/**
 * `certbot certonly`, tried with 2.1. It never asks, and it renews whatever the age of what it has: whether it is time was decided before.
 * For dns-01 its manual hooks call Fairlead's hook with the values from the environment, as certbot(1) describes.
 */
export function certonly({ certificate, names, issuer, challenge, keyType }: CertbotRequest): string[] {
  const key = keyType === 'ecdsa-p256' ? ['--key-type', 'ecdsa', '--elliptic-curve', 'secp256r1'] : ['--key-type', 'rsa', '--rsa-key-size', keyType === 'rsa-4096' ? '4096' : '2048'];
  return [
    'certbot', 'certonly', '--non-interactive', '--agree-tos', '--force-renewal', '--cert-name', certificate,
    '--config-dir', issuer.configDir, '--work-dir', issuer.workDir, '--logs-dir', issuer.logsDir,
    ...(issuer.directoryUrl === null ? [] : ['--server', issuer.directoryUrl]),
    ...(issuer.email === null ? ['--register-unsafely-without-email'] : ['--email', issuer.email]),
    ...key,
    ...challengeArguments(challenge),
    ...names.flatMap((name) => ['-d', name]),
  ];
}

function challengeArguments(challenge: CertbotRequest['challenge']): string[] {
  if (challenge.kind === 'http-01') return ['--webroot', '--webroot-path', challenge.webroot];
  if (challenge.kind === 'none') return [];
  const hook = (verb: 'present' | 'cleanup'): string => `${hookCommand(challenge.hook, verb, { where: '', value: '' }).slice(0, -2).map(quoteForShell).join(' ')} "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"`;
  return ['--manual', '--preferred-challenges', 'dns', '--manual-auth-hook', hook('present'), '--manual-cleanup-hook', hook('cleanup')];
}

/** certbot's HTTP is Python's requests, which takes roots from here. */
export const certbotEnvironment = ({ caBundleFile }: CertbotIssuerConfiguration): Record<string, string> => ({ LC_ALL: 'C', ...(caBundleFile === null ? {} : { REQUESTS_CA_BUNDLE: caBundleFile }) });
