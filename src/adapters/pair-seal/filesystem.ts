import type { KeyObject } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PairFacts } from '../../domain/certificate/pair.ts';
import { contextDifferences, type SealContext, type SealedPair } from '../../domain/certificate/seal.ts';
import { agentLayout, hostLayout } from '../../domain/host/layout.ts';
import { namePattern, type HostId } from '../../domain/ids.ts';
import type { PairSeal, SealRecipient } from '../../ports/pair-seal.ts';
import { readPair, splitPem } from '../certificate-store/facts.ts';
import { ensureDirectory, exists, readIfThere, syncDirectory, writeFileDurably } from '../files/durable.ts';
import { makePrivateKey, openText, privateKeyOf, publicHalf, refused, sealText } from './envelope.ts';

/** What is sealed: the two files of a pair. */
interface SealedTexts {
  readonly key: string;
  readonly fullchain: string;
}

const keyBytes = 32;

/** @param root prefix of every path @param host whose agent this is */
export function createPairSeal(root: string, host: HostId): PairSeal {
  const { sealingKeyFile, sealingPeersFile } = agentLayout(root);
  let own: Promise<KeyObject> | null = null;

  /** One reader and maker at a time in a process; the agent's lock sees to it that there is one process. */
  function ownKey(): Promise<KeyObject> {
    own ??= readOrMake().catch((error: unknown) => {
      own = null;
      throw error;
    });
    return own;
  }

  async function readOrMake(): Promise<KeyObject> {
    const text = await readIfThere(sealingKeyFile);
    if (text === null) {
      const made = makePrivateKey();
      await ensureDirectory(dirname(sealingKeyFile));
      await writeFileDurably(sealingKeyFile, `${made.toString('base64')}\n`, 0o600);
      return privateKeyOf(made);
    }
    const bytes = Buffer.from(text.trim(), 'base64');
    if (bytes.length === keyBytes) return privateKeyOf(bytes);
    throw refused('host', 'sealing_key_unreadable', `${sealingKeyFile} does not hold a sealing key: ${keyBytes} bytes in base64.`, 'Move it away and start the agent anew: it makes another key and tells control, and certificates are sealed for that one.');
  }

  async function demandPinned({ host: to, key }: SealRecipient): Promise<void> {
    const text = await readIfThere(sealingPeersFile);
    if (text === null) return;
    const pinned = text.split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/)).filter(([name]) => name === to);
    if (pinned.some(([, known]) => known === key)) return;
    const what = pinned.length === 0 ? `does not name ${to}` : `pins another key of ${to}`;
    throw refused('host', 'sealing_peer_unknown', `${sealingPeersFile} ${what}, so no private key is sealed for ${key}.`, `Compare it with what lies on ${to} itself (its agent's log tells it at the start), and put the line there: ${to} ${key}`);
  }

  const received = (product: SealContext['product'], certificate: string): string => {
    if (!namePattern.test(certificate) || certificate.includes('..')) throw refused('request', 'certificate_name_invalid', `${JSON.stringify(certificate)} cannot name a certificate: it becomes a directory.`, 'Letters, digits, dots and dashes, at most 63.');
    return join(hostLayout(root, product).acmeDir, 'received', certificate);
  };

  return {
    publicKey: async () => publicHalf(await ownKey()),

    async seal(directory, recipient, context) {
      await demandPinned(recipient);
      // The link is followed once: key and certificate come from the same version.
      const from = await fs.realpath(directory).catch(() => directory);
      const [key, fullchain] = await Promise.all([readIfThere(join(from, 'key.pem')), readIfThere(join(from, 'fullchain.pem'))]);
      if (key === null || fullchain === null) throw refused('host', 'certificate_staging_missing', `There is no whole pair in ${directory}.`, 'Issue it on this host first.');
      demandCertificate({ key, fullchain }, context);
      return sealText(JSON.stringify({ key, fullchain } satisfies SealedTexts), recipient.key, context);
    },

    async open(sealed, expected) {
      const { product, certificate } = expected;
      demandForHere(sealed, expected, host);
      const secret = await ownKey();
      const mine = publicHalf(secret);
      if (sealed.recipient !== mine) throw refused('host', 'seal_wrong_key', `The pair of ${certificate} was sealed for the key ${sealed.recipient}; that of ${host} is ${mine}.`, 'Where the host was set up anew, control hears its key within seconds, and the next distribution uses it. Where it was not, somebody else was to read the pair: see the audit.');
      const texts = JSON.parse(openText(sealed, secret)) as SealedTexts;
      const facts = demandCertificate(texts, expected);
      const directory = received(product, certificate);
      await ensureDirectory(hostLayout(root, product).acmeDir, 0o700);
      await ensureDirectory(directory, 0o700);
      await writeFileDurably(join(directory, 'key.pem'), texts.key, 0o600);
      await writeFileDurably(join(directory, 'fullchain.pem'), texts.fullchain, 0o644);
      return { directory, facts };
    },

    async forget(product, certificate) {
      const directory = received(product, certificate);
      await fs.rm(directory, { recursive: true, force: true });
      // A power cut does not bring the key back.
      if (await exists(dirname(directory))) await syncDirectory(dirname(directory));
    },
  };
}

function demandForHere({ context }: SealedPair, expected: SealContext, host: HostId): void {
  const other = context.to !== host ? context.to : expected.to;
  if (other !== host) throw refused('request', 'seal_wrong_host', `The pair of ${context.certificate} was sealed for ${other}, and this is ${host}.`, 'Nothing was written. Look at who can write to Temporal.');
  const differing = contextDifferences(context, expected);
  if (differing.length === 0) return;
  const [first] = differing as readonly [keyof SealContext];
  throw refused('request', 'seal_wrong_context', `The pair was sealed for another ${differing.join(', ')} than it was brought for: ${JSON.stringify(context[first])}, and not ${JSON.stringify(expected[first])}.`, 'Nothing was written. Look at who can write to Temporal.');
}

/** That the certificate is the one that is meant. Whether the key fits to it, and whether it may be served, is looked at before the switch, as of every pair. */
function demandCertificate({ key, fullchain }: SealedTexts, { certificate, fingerprint }: SealContext): PairFacts {
  const { facts } = readPair(key, splitPem(fullchain));
  if (facts.fingerprintSha256 === fingerprint) return facts;
  throw refused('dependency', 'seal_wrong_certificate', `The pair of ${certificate} holds certificate ${facts.fingerprintSha256.slice(0, 16)}…, and ${fingerprint.slice(0, 16)}… is meant.`, 'It was replaced meanwhile; the next distribution brings what is there then.');
}

