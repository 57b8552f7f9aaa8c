import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { hostLayout } from '../../domain/host/layout.ts';
import { FairleadError } from '../../domain/failure.ts';
import { certificateVersionPattern, namePattern, type CertificateName, type CertificateVersion, type ProductName } from '../../domain/ids.ts';
import type { CertificateBackup, CertificateStore } from '../../ports/certificate-store.ts';
import { ensureDirectory, errnoOf, exists, isMissing, readIfThere, removeFileDurably, replaceSymlinkDurably, settleDirectory, syncDirectory, writeFileDurably } from '../files/durable.ts';
import { readPair, sha256, splitPem, type PairTexts } from './facts.ts';

/** `pair.json`: written last, so that its presence is what makes a directory of a pair trusted. */
interface PairMark {
  readonly schema: 1;
  readonly version: CertificateVersion;
  readonly at: string;
  /** SHA-256 of each file. */
  readonly files: Readonly<Record<string, string>>;
}
interface BackupMark {
  readonly schema: 1;
  readonly at: string;
  readonly version: CertificateVersion | null;
}

const pairMark = 'pair.json';
const backupMark = 'backup.json';
const keptBackups = 3;

/** Certificates as directories below `<state root>/acme/certificates/<certificate>`. @param root prefix of every path */
export function createCertificateStore(root: string): CertificateStore {
  const filesOf = (product: ProductName, certificate: CertificateName) => {
    if (!namePattern.test(certificate) || certificate.includes('..')) throw invalid('certificate_name_invalid', `${JSON.stringify(certificate)} cannot name a certificate: it becomes a directory.`, 'Letters, digits, dots and dashes, at most 63.');
    const home = `${hostLayout(root, product).certificatesDir}/${certificate}`;
    return { home, versions: `${home}/versions`, current: `${home}/current`, previous: `${home}/previous`, backups: `${home}/backups`, version: (version: string) => `${home}/versions/${version}`, backup: (runId: string) => `${home}/backups/${runId}` };
  };
  type Files = ReturnType<typeof filesOf>;

  /** The version that a link names, whether it is there or not. @throws `certificate_link_invalid` for what Fairlead did not put there. */
  async function readLink(link: string): Promise<CertificateVersion | null> {
    let target: string;
    try {
      target = await fs.readlink(link);
    } catch (error) {
      if (isMissing(error)) return null;
      if (errnoOf(error) === 'EINVAL') throw invalid('certificate_link_invalid', `${link} is no symbolic link.`, 'Something other than Fairlead put it there: find out what, and move it away.');
      throw error;
    }
    const version = target.startsWith('versions/') ? target.slice('versions/'.length) : '';
    if (!certificateVersionPattern.test(version)) throw invalid('certificate_link_invalid', `${link} leads to ${JSON.stringify(target)}, which is no version of the certificate.`, 'Something other than Fairlead changed it: find out what, and move it away.');
    return version as CertificateVersion;
  }

  async function point(link: string, version: CertificateVersion): Promise<'activated' | 'already_active'> {
    if ((await readLink(link)) === version) {
      // Whoever made the link may have been killed before it was durable.
      await syncDirectory(join(link, '..'));
      return 'already_active';
    }
    await replaceSymlinkDurably(`versions/${version}`, link);
    return 'activated';
  }

  async function activate(files: Files, version: CertificateVersion): Promise<'activated' | 'already_active'> {
    await settleDirectory(files.home);
    if ((await readWhole(files.version(version))) === null) {
      throw invalid('certificate_version_broken', `${files.version(version)} is not there or not whole; what was served before still is.`, 'Stage the pair again.');
    }
    return point(files.current, version);
  }

  async function readBackup(files: Files, runId: string): Promise<CertificateBackup | null> {
    const text = await readIfThere(join(files.backup(runId), backupMark));
    return text === null ? null : { path: files.backup(runId), version: (JSON.parse(text) as BackupMark).version };
  }

  async function demandBackup(files: Files, runId: string): Promise<CertificateBackup> {
    const backup = await readBackup(files, runId);
    if (backup !== null) return backup;
    throw invalid('backup_incomplete', `The backup at ${files.backup(runId)} is not there or was never finished.`, `Look for another one in ${files.backups}.`);
  }

  return {
    directory: (product, certificate) => filesOf(product, certificate).current,
    async list(product) {
      const names = await namesIn(hostLayout(root, product).certificatesDir);
      return names.filter((name) => namePattern.test(name)).sort() as CertificateName[];
    },

    async inspect(product, certificate) {
      const files = filesOf(product, certificate);
      const names = (await namesIn(files.versions)).filter((name) => !name.startsWith('.')).sort();
      const found = await Promise.all(names.map(async (name) => ({ name, facts: await factsIn(files.version(name)) })));
      return {
        certificate,
        active: await readLink(files.current),
        previous: await readLink(files.previous),
        versions: found.flatMap(({ facts }) => facts ?? []),
        broken: found.flatMap(({ name, facts }) => (facts === null ? [name] : [])),
      };
    },

    async readActive(product, certificate) {
      const files = filesOf(product, certificate);
      const active = await readLink(files.current);
      return active === null ? null : readIfThere(join(files.version(active), 'fullchain.pem'));
    },

    read: async (product, certificate, version) => factsIn(filesOf(product, certificate).version(version)),

    async stage(product, certificate, directory) {
      const files = filesOf(product, certificate);
      const { texts, facts } = await readStaged(directory);
      const target = files.version(facts.version);
      if ((await readWhole(target)) === null) {
        await ensureDirectory(hostLayout(root, product).acmeDir, 0o700);
        await ensureDirectory(files.versions, 0o700);
        await sweepParts(files.versions);
        await placePair(target, facts.version, texts);
      }
      await syncDirectory(files.versions);
      return facts;
    },

    activate: async (product, certificate, version) => activate(filesOf(product, certificate), version),

    async backUp(product, certificate, runId) {
      const files = filesOf(product, certificate);
      const before = await readBackup(files, runId);
      if (before !== null) return before;
      const active = await readLink(files.current);
      const directory = files.backup(runId);
      await ensureDirectory(directory, 0o700);
      if (active !== null) {
        const texts = await readWhole(files.version(active));
        if (texts === null) throw invalid('certificate_version_broken', `The active pair at ${files.version(active)} is not whole: it cannot be backed up, and would not be there for the way back.`, 'Look at what changed it; what nginx has loaded is served until its next reload.');
        await writePair(directory, active, texts);
      }
      await writeJson(join(directory, backupMark), { schema: 1, at: new Date().toISOString(), version: active } satisfies BackupMark);
      await syncDirectory(files.backups);
      return { path: directory, version: active };
    },

    readBackup: async (product, certificate, runId) => readBackup(filesOf(product, certificate), runId),

    async restore(product, certificate, runId) {
      const files = filesOf(product, certificate);
      const backup = await demandBackup(files, runId);
      if (backup.version === null) {
        await settleDirectory(files.home);
        await removeFileDurably(files.current);
        return backup;
      }
      if ((await readWhole(files.version(backup.version))) === null) {
        const texts = await readWhole(backup.path);
        if (texts === null) throw invalid('backup_incomplete', `The pair in ${backup.path} is not whole any more.`, `Look for another one in ${files.backups}.`);
        await placePair(files.version(backup.version), backup.version, texts);
        await syncDirectory(files.versions);
      }
      await activate(files, backup.version);
      return backup;
    },

    async commit(product, certificate, runId) {
      const files = filesOf(product, certificate);
      const { version } = await demandBackup(files, runId);
      if (version !== null && version !== (await readLink(files.current))) await point(files.previous, version);
    },

    async prune(product, certificate) {
      const files = filesOf(product, certificate);
      const kept = new Set<string | null>([await readLink(files.current), await readLink(files.previous)]);
      const surplus = (await namesIn(files.versions)).filter((name) => !kept.has(name));
      for (const name of surplus) await removePair(files.version(name));
      if (surplus.length > 0) await syncDirectory(files.versions);
      const backups = await Promise.all((await namesIn(files.backups)).map(async (name) => ({ name, at: (await readIfThere(join(files.backup(name), backupMark)).then((text) => (text === null ? null : (JSON.parse(text) as BackupMark).at))) ?? '' })));
      for (const { name } of backups.sort((a, b) => (a.at < b.at ? 1 : -1)).slice(keptBackups)) await removePair(files.backup(name));
      return surplus.filter((name) => certificateVersionPattern.test(name));
    },
  };
}

const fileNames = { key: 'key.pem', cert: 'cert.pem', chain: 'chain.pem', fullchain: 'fullchain.pem' } as const satisfies Record<keyof PairTexts, string>;
const parts = Object.entries(fileNames) as [keyof PairTexts, string][];

/** The mark last. */
async function writePair(directory: string, version: CertificateVersion, texts: PairTexts): Promise<void> {
  for (const [part, name] of parts) await writeFileDurably(join(directory, name), texts[part], part === 'key' ? 0o600 : 0o644);
  const files = Object.fromEntries(parts.map(([part, name]) => [name, sha256(texts[part])]));
  await writeJson(join(directory, pairMark), { schema: 1, version, at: new Date().toISOString(), files } satisfies PairMark);
}

/** Renamed into place when it is whole. What lies there and is not, gives way. */
async function placePair(target: string, version: CertificateVersion, texts: PairTexts): Promise<void> {
  const made = join(target, '..', `.${randomBytes(6).toString('hex')}.part`);
  try {
    await ensureDirectory(made, 0o700);
    await writePair(made, version, texts);
    if (await exists(target)) await fs.rename(target, `${made}.old.part`);
    await fs.rename(made, target);
  } catch (error) {
    await fs.rm(made, { recursive: true, force: true });
    throw error;
  } finally {
    await fs.rm(`${made}.old.part`, { recursive: true, force: true });
  }
}

/** What a crash left half-written. */
async function sweepParts(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) if (/^\..*\.part$/.test(name)) await fs.rm(join(directory, name), { recursive: true, force: true });
}

async function removePair(directory: string): Promise<void> {
  await fs.rm(join(directory, pairMark), { force: true });
  await fs.rm(directory, { recursive: true, force: true });
}

/** The pair of a directory, where its mark is there and every file is what the mark says; else null. */
async function readWhole(directory: string): Promise<PairTexts | null> {
  const text = await readIfThere(join(directory, pairMark));
  if (text === null) return null;
  try {
    const mark = JSON.parse(text) as PairMark;
    const texts = Object.fromEntries(await Promise.all(parts.map(async ([part, name]) => [part, (await readIfThere(join(directory, name))) ?? ''] as const))) as unknown as PairTexts;
    return parts.every(([part, name]) => mark.files[name] === sha256(texts[part])) ? texts : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function factsIn(directory: string) {
  const texts = await readWhole(directory);
  return texts === null ? null : readPair(texts.key, splitPem(texts.fullchain)).facts;
}

async function readStaged(directory: string): Promise<ReturnType<typeof readPair>> {
  const first = async (...names: string[]): Promise<string | null> => {
    for (const name of names) {
      const text = await readIfThere(join(directory, name));
      if (text !== null) return text;
    }
    return null;
  };
  const key = await first('key.pem', 'privkey.pem');
  const certificates = (await first('fullchain.pem')) ?? `${(await first('cert.pem')) ?? ''}\n${(await first('chain.pem')) ?? ''}`;
  if (key !== null) return readPair(key, splitPem(certificates));
  throw new FairleadError({ class: 'host', code: 'certificate_staging_missing', message: `There is no key.pem in ${directory}.`, hint: 'Nothing was switched. The issuer puts the pair there; issue again.' });
}

const writeJson = (path: string, value: unknown): Promise<void> => writeFileDurably(path, `${JSON.stringify(value, null, 2)}\n`);
const invalid = (code: string, message: string, hint: string): FairleadError => new FairleadError({ class: 'host', code, message, hint });

async function namesIn(directory: string): Promise<string[]> {
  return fs.readdir(directory).catch((error) => (isMissing(error) ? [] : Promise.reject(error)));
}
