import type { Command } from 'commander';
import type { CertificateIssueBody } from '../../contract/index.ts';
import { usageError } from '../errors.ts';
import { numberFrom } from './shared.ts';

/** What the options say of where a certificate comes from. */
export interface IssuerOptions {
  readonly names?: readonly string[];
  readonly issuer?: string;
  readonly contact?: readonly string[];
  readonly profile?: string;
  readonly private?: boolean;
  readonly roots?: string;
  readonly caBundle?: string;
  readonly eabKeyId?: string;
  readonly eabKeyFile?: string;
  readonly dnsHook?: readonly string[];
  readonly keyType?: string;
  readonly originPort?: number;
  /** False where `--no-origin-check` stands. */
  readonly originCheck: boolean;
}

const publicIssuers: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
};

export const issuerOptions = (command: Command): Command =>
  command
    .option('--names <name...>', "what it is for; the first one names it (default: those of the manifest's certificates)")
    .option('--issuer <issuer>', 'letsencrypt, letsencrypt-staging, the URL of an ACME directory, certbot, or directory:/path on the host (default: the one before)')
    .option('--contact <address...>', "for the CA's own mail, as ops@example.org")
    .option('--profile <profile>', "one of the CA's profiles")
    .option('--private', "the names are a company's own, which only its own CA certifies")
    .option('--roots <file>', 'PEM file on the host: roots that the certificates lead to')
    .option('--ca-bundle <file>', 'PEM file on the host: roots for HTTPS to the CA itself')
    .option('--eab-key-id <id>', 'external account binding: the key identifier')
    .option('--eab-key-file <file>', 'external account binding: the file on the host that holds the MAC key')
    .option('--dns-hook <word...>', 'prove the names by DNS: a command on the host, called as COMMAND present|cleanup NAME VALUE')
    .option('--key-type <type>', 'ecdsa-p256, rsa-2048 or rsa-4096')
    .option('--origin-port <port>', 'where the authority comes to (default: 80)', numberFrom(1, '--origin-port'))
    .option('--no-origin-check', 'do not ask from the host itself whether the names lead to it');

/** The part of a request that these options are. */
export function issueBody(options: IssuerOptions): Partial<CertificateIssueBody> {
  const body = {
    names: options.names?.flatMap((names) => names.split(',')),
    issuer: issuerOf(options),
    challenge: options.dnsHook === undefined ? undefined : { kind: 'dns-01', hook: [...options.dnsHook] },
    keyType: options.keyType,
    originPort: options.originCheck ? options.originPort : null,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Partial<CertificateIssueBody>;
}

function issuerOf({ issuer, contact, profile, roots, caBundle, eabKeyId, eabKeyFile, ...options }: IssuerOptions): CertificateIssueBody['issuer'] {
  const only = { contact, profile, roots, caBundle, eabKeyId, eabKeyFile };
  if (issuer === undefined) {
    const [stray] = Object.entries(only).flatMap(([name, value]) => (value === undefined ? [] : [name]));
    if (stray === undefined && options.private !== true) return undefined;
    throw usageError('options about the issuer were given without --issuer', 'say which one: --issuer letsencrypt');
  }
  const common = { ...(options.private === true ? { scope: 'private' as const } : {}), ...(roots === undefined ? {} : { rootsFile: roots }) };
  if (issuer.startsWith('directory:')) return { kind: 'directory', ...common, directory: issuer.slice('directory:'.length) };
  if (issuer === 'certbot') return { kind: 'certbot', ...common, ...(caBundle === undefined ? {} : { caBundleFile: caBundle }), ...(contact?.[0] === undefined ? {} : { email: contact[0] }) };
  const directoryUrl = publicIssuers[issuer] ?? issuer;
  if (!directoryUrl.startsWith('https://')) throw usageError(`--issuer is ${JSON.stringify(issuer)}`, `expected ${Object.keys(publicIssuers).join(', ')}, https://… of an ACME directory, certbot, or directory:/path`);
  if ((eabKeyId === undefined) !== (eabKeyFile === undefined)) throw usageError('--eab-key-id and --eab-key-file go together', 'the CA gives both');
  return {
    kind: 'acme',
    ...common,
    ...(publicIssuers[issuer] === undefined ? {} : { name: issuer }),
    directoryUrl,
    contact: contact?.map((address) => (address.startsWith('mailto:') ? address : `mailto:${address}`)) ?? [],
    ...(caBundle === undefined ? {} : { caBundleFile: caBundle }),
    ...(profile === undefined ? {} : { profile }),
    ...(eabKeyId === undefined || eabKeyFile === undefined ? {} : { externalAccountBinding: { keyIdentifier: eabKeyId, hmacKeyFile: eabKeyFile } }),
  };
}
