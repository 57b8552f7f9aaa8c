import { z } from 'zod';
import type { CertificateStatus as DomainCertificateStatus } from '../domain/certificate/status.ts';
import { hostId, instant, nextAfter, pageAfter, productName, reason } from './identifiers.ts';
import { Reason, RunLinks } from './runs.ts';
import { RunAccepted } from './updates.ts';

const path = z.string().regex(/^\/[^\0]{1,500}$/, 'must be an absolute path on the host');
const common = {
  name: z.string().min(1).max(100).optional().meta({ description: 'What the issuer is called in reports' }),
  scope: z.enum(['public', 'private']).default('public').meta({ description: '`private`: names of a company, which only its own CA certifies' }),
  rootsFile: path.nullable().default(null).meta({ description: 'PEM file on the host with the roots that its certificates lead to; null: those that Node brings' }),
};
const url = z.url({ protocol: /^https$/ });

export const Issuer = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('acme'),
      ...common,
      directoryUrl: url.meta({ description: 'Of the ACME directory (RFC 8555)', examples: ['https://acme-v02.api.letsencrypt.org/directory'] }),
      contact: z.array(z.string().regex(/^mailto:[^\s]+@[^\s]+$/)).max(10).default([]),
      caBundleFile: path.nullable().default(null).meta({ description: 'PEM file on the host with the roots for HTTPS to the CA itself' }),
      externalAccountBinding: z.strictObject({ keyIdentifier: z.string().min(1).max(200), hmacKeyFile: path }).nullable().default(null),
      profile: z.string().min(1).max(100).nullable().default(null),
    }),
    z.strictObject({
      kind: z.literal('certbot'),
      ...common,
      configDir: path.default('/etc/letsencrypt'),
      workDir: path.default('/var/lib/letsencrypt'),
      logsDir: path.default('/var/log/letsencrypt'),
      directoryUrl: url.nullable().default(null),
      caBundleFile: path.nullable().default(null),
      email: z.string().max(200).nullable().default(null),
    }),
    z.strictObject({ kind: z.literal('directory'), ...common, directory: path }),
  ])
  .meta({ id: 'Issuer', description: 'Where certificates come from. Secrets stay in files on the host; here stand their paths' });

const challenge = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('http-01') }),
    z.strictObject({ kind: z.literal('dns-01'), hook: z.array(z.string().min(1)).min(1).max(20), timeoutSeconds: z.number().int().min(1).max(3_600).default(120) }),
    z.strictObject({ kind: z.literal('none') }),
  ])
  .meta({ description: 'How names are proven; the hook is a program on the host' });

const target = { host: hostId, product: productName };

export const CertificateIssueBody = z
  .strictObject({
    ...target,
    alsoOn: z.array(hostId).max(100).optional().meta({ description: 'Other hosts that serve the same certificate: `host` orders it, and they get it sealed, one of them first. Left out: those from before; empty: none' }),
    names: z.array(z.string().min(1).max(260)).max(100).optional().meta({ description: "Left out: those of the manifest's certificates" }),
    issuer: Issuer.optional().meta({ description: 'Left out: the one that the certificate was got from before' }),
    challenge: challenge.optional(),
    keyType: z.enum(['ecdsa-p256', 'rsa-2048', 'rsa-4096']).default('ecdsa-p256'),
    originPort: z.number().int().min(1).max(65_535).nullable().default(80).meta({ description: 'Before anything is ordered, each name is asked for on this port, as the authority will do, and has to lead to the host; null leaves that out' }),
    force: z.boolean().default(false).meta({ description: 'Also where the present one is not due; needs a reason' }),
    reason,
  })
  .meta({ examples: [{ host: 'h1', product: 'noderax-platform', names: ['app.example.org'], issuer: { kind: 'acme', directoryUrl: 'https://acme-v02.api.letsencrypt.org/directory' } }] });
export type CertificateIssueBody = z.input<typeof CertificateIssueBody>;

export const CertificateRenewBody = z.strictObject({ ...target, force: z.boolean().default(false), reason }).meta({ examples: [{ host: 'h1', product: 'noderax-platform' }] });
export type CertificateRenewBody = z.input<typeof CertificateRenewBody>;

export const CertificateRunAccepted = RunAccepted.extend({
  joined: z.boolean().meta({ description: 'A run was under way, and tries now where it waited to' }),
}).meta({ id: 'CertificateRunAccepted' });
export type CertificateRunAccepted = z.infer<typeof CertificateRunAccepted>;

const window = z.object({ start: instant, end: instant, explanationUrl: z.string().nullable() });

export const CertificateStatus = z
  .object({
    certificate: z.string(),
    state: z.enum(['missing', 'valid', 'due', 'waiting', 'expiring', 'expired']),
    names: z.array(z.string()).readonly(),
    issuer: z.string().nullable(),
    serial: z.string().nullable(),
    notAfter: instant.nullable(),
    daysLeft: z.number().int().nullable(),
    plan: z
      .object({
        at: instant,
        because: z.enum(['ari', 'one_third_left', 'half_left']),
        window: window.nullable(),
        refused: z.enum(['ari_malformed', 'ari_inverted', 'ari_before_certificate', 'ari_too_late', 'ari_too_long']).nullable(),
        askAgainAt: instant,
      })
      .nullable()
      .meta({ description: 'When it is renewed, and what its issuer said of that (RFC 9773)' }),
    lastTry: z.object({ at: instant, succeeded: z.boolean(), reason: Reason.nullable() }).nullable(),
    nextTryAt: instant.nullable(),
  })
  .meta({ id: 'CertificateStatus' }) satisfies z.ZodType<DomainCertificateStatus>;

export const CertificateEntry = z
  .object({
    ...target,
    alsoOn: z.array(hostId).readonly().meta({ description: 'Hosts that get the same certificate from this one' }),
    orderedBy: hostId.nullable().meta({ description: 'The host that orders it and seals it for this one; null: this one orders it' }),
    issuerName: z.string(), lookedAt: instant.nullable().meta({ description: 'When its host was looked at last' }), status: CertificateStatus, run: z.object({ runId: z.string(), links: RunLinks }).nullable().meta({ description: 'The run that is under way' }) })
  .meta({ id: 'CertificateEntry' });
export const CertificateList = z.object({ certificates: z.array(CertificateEntry), nextAfter }).meta({ id: 'CertificateList' });
export type CertificateList = z.infer<typeof CertificateList>;
export const CertificateListQuery = z.strictObject({ host: hostId.optional(), product: productName.optional(), ...pageAfter('`host/product`') });
