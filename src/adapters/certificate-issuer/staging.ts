import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checkNewCertificate } from '../../domain/certificate/check.ts';
import type { CertificateFacts } from '../../domain/certificate/facts.ts';
import type { CertificateRequest } from '../../domain/certificate/request.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { StagedCertificate } from '../../ports/certificate-issuer.ts';
import { ensureDirectory, readIfThere, removeFileDurably, settleDirectory, syncDirectory, writeFileDurably } from '../files/durable.ts';
import { publicKeySha256OfPrivate, readCertificateFacts, readRoots, splitPem } from './facts.ts';

/** The certificate that a new one replaces, as far as the check needs it. */
export type CurrentCertificate = Pick<CertificateFacts, 'fingerprintSha256' | 'serial'>;

export const stagingDirectory = (directory: string, certificate: string): string => join(directory, 'staged', certificate);

/** Written last, removed first: without it, what lies in the directory is half a pair. */
const mark = 'staged.json';

/** What an issuer gave, before it was looked at. */
export interface Pair {
  /** PEM. */
  readonly key: string;
  /** PEM: the certificate, then its chain. */
  readonly fullchain: string;
}

/** Checks a pair against its request. @throws FairleadError with the first reason against it; the message names all */
export async function checkPair(request: CertificateRequest, pair: Pair, current: CurrentCertificate | null, now: number): Promise<CertificateFacts> {
  const facts = readCertificateFacts(pair.fullchain, await readRoots(request.issuer.rootsFile));
  const [first, ...more] = checkNewCertificate(facts, { names: request.names, publicKeySha256: publicKeySha256OfPrivate(pair.key), current, now });
  if (first === undefined) return facts;
  throw new FairleadError({ ...first, message: [first, ...more].map(({ message }) => message).join(' ') });
}

/** Writes a checked pair where it can be taken from, and a mark after it. @param order what it is the certificate of */
export async function stagePair(directory: string, certificate: string, pair: Pair, facts: CertificateFacts, order: string): Promise<StagedCertificate> {
  const staged = stagingDirectory(directory, certificate);
  await ensureDirectory(staged, 0o700);
  await settleDirectory(staged);
  await removeFileDurably(join(staged, mark));
  const [leaf = '', ...chain] = splitPem(pair.fullchain);
  await writeFileDurably(join(staged, 'key.pem'), pair.key, 0o600);
  await writeFileDurably(join(staged, 'cert.pem'), leaf, 0o644);
  await writeFileDurably(join(staged, 'chain.pem'), chain.join(''), 0o644);
  await writeFileDurably(join(staged, 'fullchain.pem'), [leaf, ...chain].join(''), 0o644);
  await writeFileDurably(join(staged, mark), JSON.stringify({ order, facts }), 0o600);
  return { directory: staged, facts };
}

/** The pair that was staged for this order; null where there is none, or only half of one. */
export async function readStaged(directory: string, certificate: string, order: string): Promise<StagedCertificate | null> {
  const staged = stagingDirectory(directory, certificate);
  await settleDirectory(staged);
  const text = await readIfThere(join(staged, mark));
  if (text === null) return null;
  const kept = JSON.parse(text) as { order: string; facts: CertificateFacts };
  return kept.order === order ? { directory: staged, facts: kept.facts } : null;
}

/** Whether the pair that was staged is the one in use: its order was not forgotten when it should have been, and is spent. */
export const isInUse = (staged: StagedCertificate | null, current: string | null): boolean => staged !== null && currentOf(current)?.fingerprintSha256 === staged.facts.fingerprintSha256;

/** @param current PEM; null where there is none */
export function currentOf(current: string | null): CurrentCertificate | null {
  if (current === null) return null;
  const { fingerprintSha256, serial } = readCertificateFacts(current, []);
  return { fingerprintSha256, serial };
}

/** Durable, idempotent. */
export async function dropStaged(directory: string, certificate: string): Promise<void> {
  const staged = stagingDirectory(directory, certificate);
  if ((await readIfThere(join(staged, mark))) !== null) await removeFileDurably(join(staged, mark));
  await rm(staged, { recursive: true, force: true });
  await ensureDirectory(join(directory, 'staged'), 0o700);
  await syncDirectory(join(directory, 'staged'));
}
