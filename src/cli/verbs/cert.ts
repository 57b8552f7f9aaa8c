import type { Command } from 'commander';
import type { CertificateIssueBody, CertificateList, CertificateRunAccepted } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { followAccepted, type AcceptedOptions } from './follow-accepted.ts';
import { apiCommand, numberFrom, query } from './shared.ts';
import { resolveTarget } from './target.ts';

interface CertOptions extends AcceptedOptions {
  readonly host?: string;
  readonly product?: string;
  readonly force?: boolean;
}
interface IssueOptions extends CertOptions {
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

export function registerCert(program: Command, context: Context): void {
  const cert = program.command('cert').description('the certificates that products are served with');
  const target = (command: Command): Command => command.option('--host <host>', 'which host (default: the only one)').option('--product <product>', 'which product (default: the only one)');
  const change = (command: Command): Command =>
    command.option('--force', 'also where it is not due').option('--detach', 'print the run and leave').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'));

  apiCommand(
    change(target(cert.command('issue').description('get a certificate and have it served: the first one, or one for other names or from elsewhere')))
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
      .option('--no-origin-check', 'do not ask from the host itself whether the names lead to it'),
    context,
    async (api, options: IssueOptions) => {
      const accepted = await api.post<CertificateRunAccepted>('/api/certificates/issue', { body: { ...(await resolveTarget(api, options)), ...issueBody(options) } });
      return followAccepted(api, accepted, `certificate of ${accepted.product} on ${accepted.host}`, options, context);
    },
  );

  apiCommand(change(target(cert.command('renew').description('renew what is due; without --host and --product, everywhere'))), context, async (api, options: CertOptions) => {
    const { certificates } = await api.get<CertificateList>(`/api/certificates${query({ host: options.host, product: options.product })}`);
    if (certificates.length === 0) throw usageError('no certificate is known there that could be renewed', 'get the first one: fairlead cert issue');
    const renewals = [];
    for (const { host, product } of certificates) renewals.push(await api.post<CertificateRunAccepted>('/api/certificates/renew', { body: { host, product, force: options.force === true } }));
    // Followed one after the other, all of them are under way by now.
    for (const accepted of renewals) await followAccepted(api, accepted, `certificate of ${accepted.product} on ${accepted.host}${accepted.joined ? ', which is under way already and tries now' : ''}`, options, context);
  });

  apiCommand(cert.command('status').description('when each certificate ends and is renewed, and how the last try ended').option('--host <host>', 'only of this host').option('--product <product>', 'only of this product'), context, async (api, options: CertOptions) => {
    const list = await api.get<CertificateList>(`/api/certificates${query({ host: options.host, product: options.product })}`);
    if (options.json) return printJson(context, list);
    context.out(renderStatus(list));
  });
}

function issueBody(options: IssueOptions): Partial<CertificateIssueBody> {
  const body = {
    names: options.names?.flatMap((names) => names.split(',')),
    issuer: issuerOf(options),
    challenge: options.dnsHook === undefined ? undefined : { kind: 'dns-01', hook: [...options.dnsHook] },
    keyType: options.keyType,
    originPort: options.originCheck ? options.originPort : null,
    force: options.force,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Partial<CertificateIssueBody>;
}

function issuerOf({ issuer, contact, profile, roots, caBundle, eabKeyId, eabKeyFile, ...options }: IssueOptions): CertificateIssueBody['issuer'] {
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

function renderStatus({ certificates }: CertificateList): string {
  if (certificates.length === 0) return 'no certificate is known; get the first one: fairlead cert issue\n';
  const rows = certificates.map(({ host, product, issuerName, status, run }) => [
    host,
    product,
    status.names.join(',') || status.certificate,
    status.state,
    status.notAfter === null ? '-' : `${status.notAfter} (${status.daysLeft} d)`,
    status.plan === null ? '-' : `${status.plan.at} (${status.plan.because})`,
    status.plan?.window == null ? '-' : `${status.plan.window.start}/${status.plan.window.end}`,
    status.lastTry === null ? '-' : `${status.lastTry.at} ${status.lastTry.succeeded ? 'worked' : (status.lastTry.reason?.code ?? 'failed')}`,
    run !== null && status.nextTryAt === null ? 'now' : (status.nextTryAt ?? '-'),
    issuerName,
  ]);
  return renderTable(['HOST', 'PRODUCT', 'NAMES', 'STATE', 'NOT AFTER', 'RENEWED FROM', 'ARI WINDOW', 'LAST TRY', 'NEXT TRY', 'ISSUER'], rows);
}
