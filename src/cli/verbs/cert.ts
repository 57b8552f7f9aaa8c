import type { Command } from 'commander';
import type { CertificateList, CertificateRunAccepted } from '../../contract/index.ts';
import type { ApiClient } from '../api-client.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { usageError } from '../errors.ts';
import { renderTable } from '../table.ts';
import { followAccepted, type AcceptedOptions } from './follow-accepted.ts';
import { issueBody, issuerOptions, type IssuerOptions } from './issuer-options.ts';
import { apiCommand, because, everyPage, numberFrom, query } from './shared.ts';
import { followReceivers } from './cert-hosts.ts';
import { resolveTarget } from './target.ts';

interface CertOptions extends AcceptedOptions {
  readonly host?: string;
  readonly product?: string;
  readonly force?: boolean;
  readonly reason?: string;
}
interface IssueOptions extends Omit<CertOptions, 'host'>, IssuerOptions {
  readonly host?: readonly string[];
  readonly only?: boolean;
}

export function registerCert(program: Command, context: Context): void {
  const cert = program.command('cert').description('the certificates that products are served with');
  const product = (command: Command): Command => command.option('--product <product>', 'which product (default: the only one)');
  const target = (command: Command): Command => product(command.option('--host <host>', 'which host (default: the only one)'));
  const change = (command: Command): Command =>
    command.option('--force', 'also where it is not due; needs --reason').option('--reason <text>', 'why; goes into the audit').option('--detach', 'print the run and leave').option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'));

  apiCommand(
    issuerOptions(
      change(product(cert.command('issue').description('get a certificate and have it served: the first one, or one for other names or from elsewhere')))
        .option('--host <host...>', 'which host (default: the only one); of several, the first one orders it, and the others get it sealed, one of them first')
        .option('--only', 'take it away from the other hosts: they keep what they have, and get no renewals'),
    ),
    context,
    async (api, options: IssueOptions) => {
      const [first, ...others] = options.host?.flatMap((hosts) => hosts.split(',')) ?? [];
      if (options.only === true && others.length > 0) throw usageError('--only and several hosts do not go together', 'name the host that keeps the certificate');
      const { product: named } = options;
      const target = await resolveTarget(api, { ...(first === undefined ? {} : { host: first }), ...(named === undefined ? {} : { product: named }) });
      const alsoOn = others.length > 0 ? { alsoOn: others } : options.only === true ? { alsoOn: [] } : {};
      const since = Date.now();
      const accepted = await api.post<CertificateRunAccepted>('/api/certificates/issue', { body: { ...target, ...alsoOn, ...issueBody(options), ...(options.force === undefined ? {} : { force: options.force }) }, headers: because(options.reason) });
      await followAccepted(api, accepted, `certificate of ${accepted.product} on ${accepted.host}`, options, context);
      if (others.length > 0 && options.detach !== true) await followReceivers(api, { ...target, alsoOn: others, since, timeoutSeconds: options.timeout ?? null }, context);
    },
  );

  apiCommand(change(target(cert.command('renew').description('renew what is due; without --host and --product, everywhere'))), context, async (api, options: CertOptions) => {
    const { certificates } = await everyCertificate(api, options);
    if (certificates.length === 0) throw usageError('no certificate is known there that could be renewed', 'get the first one: fairlead cert issue');
    const renewals = [];
    // A host that is named is asked for all the same, and says who orders for it.
    for (const { host, product } of certificates.filter(({ orderedBy }) => options.host !== undefined || orderedBy === null)) renewals.push(await api.post<CertificateRunAccepted>('/api/certificates/renew', { body: { host, product, force: options.force === true }, headers: because(options.reason) }));
    // Followed one after the other, all of them are under way by now.
    for (const accepted of renewals) await followAccepted(api, accepted, `certificate of ${accepted.product} on ${accepted.host}${accepted.joined ? ', which is under way already and tries now' : ''}`, options, context);
  });

  apiCommand(cert.command('status').description('when each certificate ends and is renewed, and how the last try ended').option('--host <host>', 'only of this host').option('--product <product>', 'only of this product'), context, async (api, options: CertOptions) => {
    const list = await everyCertificate(api, options);
    if (options.json) return printJson(context, list);
    context.out(renderStatus(list));
  });
}

async function everyCertificate(api: ApiClient, { host, product }: CertOptions): Promise<CertificateList> {
  const pages = await everyPage<CertificateList>(api, `/api/certificates${query({ host, product })}`);
  return { certificates: pages.flatMap(({ certificates }) => certificates), nextAfter: null };
}

function renderStatus({ certificates }: CertificateList): string {
  if (certificates.length === 0) return 'no certificate is known; get the first one: fairlead cert issue\n';
  const rows = certificates.map(({ host, orderedBy, product, issuerName, status, run }) => [
    orderedByText(host, orderedBy),
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

const orderedByText = (host: string, orderedBy: string | null): string => (orderedBy === null ? host : `${host} (by ${orderedBy})`);
