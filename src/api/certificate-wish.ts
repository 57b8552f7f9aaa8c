import type { z } from 'zod';
import type { CertificateIssueBody } from '../contract/index.ts';
import { parseNames } from '../domain/certificate/names.ts';
import type { IssuerConfiguration } from '../domain/certificate/request.ts';
import { usualChallenge, type CertificateWish } from '../domain/certificate/wish.ts';
import { FairleadError } from '../domain/failure.ts';
import type { HostRow } from '../ports/control-stores.ts';
import type { ApiStores } from './dependencies.ts';
import { knownHost } from './unknown.ts';

/** What is said of a certificate where one is asked for: by itself, or in the course of a promotion. */
export type WishBody = Pick<z.output<typeof CertificateIssueBody>, 'host' | 'product' | 'names' | 'issuer' | 'challenge' | 'keyType' | 'alsoOn'>;

/** What is asked for, with what was left out taken from the manifest and from the certificate that there is. @throws every problem of the names at once */
export async function wishOf(stores: ApiStores, body: WishBody, host: HostRow): Promise<CertificateWish> {
  const known = await stores.certificates.find(body.host, body.product);
  const issuer = body.issuer === undefined ? known?.wish.issuer : named(body.issuer);
  if (issuer === undefined) throw new FairleadError({ class: 'request', code: 'issuer_missing', message: `It was not said where the certificate of ${body.product} on host ${body.host} is to come from.`, hint: 'Give an issuer: fairlead cert issue --issuer letsencrypt, a directory URL, certbot, or directory:/path' });
  const challenge = body.challenge ?? (body.issuer === undefined && known !== null ? known.wish.challenge : usualChallenge(issuer));
  const active = host.products.find(({ product }) => product === body.product)?.state ?? null;
  const release = active?.activeReleaseId ?? null;
  const declared = release === null ? null : ((await stores.releases.find(body.product, release, host.role))?.manifest.certificates ?? null);
  const given = body.names ?? (declared !== null && declared.names.length > 0 ? declared.names : (active?.tls?.names ?? known?.wish.names ?? []));
  const parsed = parseNames(given, challenge.kind, issuer.scope);
  const alsoOn = body.alsoOn === undefined ? known?.wish.alsoOn : await receiversOf(stores, body, body.alsoOn);
  if ('names' in parsed) return { names: parsed.names, issuer, challenge, keyType: body.keyType, ...(alsoOn === undefined ? {} : { alsoOn }) };
  const [first] = parsed.problems;
  throw new FairleadError({ class: 'request', code: first?.code ?? 'certificate_name_invalid', message: parsed.problems.map(({ message }) => message).join(' '), ...(first?.hint === undefined ? {} : { hint: first.hint }) });
}

/** The hosts beside the one that orders. @throws where one is not known, runs nothing that could serve it, or has no key to seal for */
async function receiversOf(stores: ApiStores, { host, product }: WishBody, alsoOn: readonly HostRow['host'][]): Promise<readonly HostRow['host'][]> {
  const others = [...new Set(alsoOn)].filter((other) => other !== host);
  for (const other of others) {
    const row = await knownHost(stores, other);
    const active = row.products.find((each) => each.product === product)?.state?.activeReleaseId ?? null;
    if (active === null) throw new FairleadError({ class: 'request', code: 'nothing_installed', message: `${other}/${product} has no active release that a certificate could be served for.`, hint: 'Install the product there first, or leave the host out.' });
    if (!row.products.some(({ sealingKey }) => sealingKey !== undefined)) throw new FairleadError({ class: 'request', code: 'sealing_key_unknown', message: `The agent of ${other} has told no sealing key, and a private key travels sealed only.`, hint: `Update its agent: fairlead nodes update ${other}` });
  }
  return others;
}

const named = ({ name, ...issuer }: NonNullable<WishBody['issuer']>): IssuerConfiguration =>
  ({ ...issuer, name: name ?? (issuer.kind === 'acme' ? new URL(issuer.directoryUrl).hostname : issuer.kind === 'certbot' ? 'certbot' : issuer.directory) }) as IssuerConfiguration;
