import type { Selectable } from 'kysely';
import type { Artifact } from '../../domain/bundle/artifact.ts';
import { FairleadError } from '../../domain/failure.ts';
import type { ReleaseId } from '../../domain/ids.ts';
import { defaultChannel } from '../../domain/release-check/channel.ts';
import type { PublishedRelease, ReleaseCatalog } from '../../ports/control-stores.ts';
import type { Database } from './database.ts';
import { anyOf } from './any-of.ts';
import { toJson } from './json.ts';
import { lockInTransaction } from './database.ts';
import type { Tables } from './tables.ts';

export function createReleaseCatalog(database: Database): ReleaseCatalog {
  return {
    publish: (artifact, publishedBy, channel) =>
      database.transaction(`publishing release ${artifact.releaseId} of ${artifact.product}`, async (transaction) => {
        const { product, releaseId, role, profile } = artifact;
        await lockInTransaction(transaction, `fairlead.release:${product}/${releaseId}`);
        const published = await transaction
          .selectFrom('releases')
          .select(['sha256', 'signature'])
          .where('product', '=', product)
          .where('release_id', '=', releaseId)
          .where('role', '=', role)
          .where('profile', '=', profile)
          .executeTakeFirst();
        if (published === undefined) {
          // The release's first artifact has said its channel; it may have been moved since.
          const first = await transaction.selectFrom('releases').select('channel').where('product', '=', product).where('release_id', '=', releaseId).limit(1).executeTakeFirst();
          await transaction.insertInto('releases').values({ ...rowOf(artifact, publishedBy), channel: first?.channel ?? channel ?? defaultChannel }).execute();
          return 'published';
        }
        if (published.sha256 !== artifact.sha256) throw releaseExists(artifact, published.sha256);
        // Signed after it was published: the same bytes, so the signature is welcome. One that stands is never replaced.
        if (published.signature === null && artifact.signature !== null) {
          await transaction.updateTable('releases').set({ signature: toJson(artifact.signature) }).where('sha256', '=', artifact.sha256).execute();
        }
        return 'already_published';
      }),

    list: ({ product, releaseId, limit, before, within }) =>
      database.query('listing releases', async (db) => {
        let query = db.selectFrom('releases').selectAll().orderBy('position', 'desc').limit(limit);
        if (product !== undefined) query = query.where('product', '=', product);
        if (releaseId !== undefined) query = query.where('release_id', '=', releaseId);
        if (within?.products) query = query.where('product', 'in', anyOf(within.products));
        if (before !== undefined) query = query.where('position', '<', (row) => row.selectFrom('releases as last').select('last.position').where('last.sha256', '=', before as never));
        return (await query.execute()).map(publishedOf);
      }),

    moveTo: (product, releaseId, channel) =>
      database.transaction(`moving release ${releaseId} of ${product} to channel ${channel}`, async (transaction) => {
        await lockInTransaction(transaction, `fairlead.release:${product}/${releaseId}`);
        const before = await transaction.selectFrom('releases').select('channel').where('product', '=', product).where('release_id', '=', releaseId).limit(1).executeTakeFirst();
        if (before === undefined) return null;
        await transaction.updateTable('releases').set({ channel }).where('product', '=', product).where('release_id', '=', releaseId).execute();
        return before.channel;
      }),

    find: (product, releaseId, role, profile) =>
      database.query(`looking up release ${releaseId} of ${product}`, async (db) => {
        let query = db.selectFrom('releases').selectAll().where('product', '=', product).where('release_id', '=', releaseId).where('role', '=', role).orderBy('profile');
        if (profile !== undefined) query = query.where('profile', '=', profile);
        const rows = await query.execute();
        if (rows.length > 1) throw profileAmbiguous(releaseId, role, rows.map((row) => row.profile));
        return rows[0] === undefined ? null : artifactOf(rows[0]);
      }),

    findByDigest: (sha256) =>
      database.query(`looking up artifact ${sha256}`, async (db) => {
        const row = await db.selectFrom('releases').selectAll().where('sha256', '=', sha256).executeTakeFirst();
        return row === undefined ? null : artifactOf(row);
      }),
  };
}

type Row = Selectable<Tables['releases']>;

const rowOf = (artifact: Artifact, publishedBy: string) => ({
  product: artifact.product,
  release_id: artifact.releaseId,
  role: artifact.role,
  profile: artifact.profile,
  format: artifact.format,
  size_bytes: artifact.sizeBytes,
  sha256: artifact.sha256,
  file_list_sha256: artifact.fileListSha256,
  platform_version: artifact.platformVersion,
  signature: artifact.signature === null ? null : toJson(artifact.signature),
  manifest: toJson(artifact.manifest),
  published_by: publishedBy,
});

const artifactOf = (row: Row): Artifact => ({
  product: row.product,
  releaseId: row.release_id,
  role: row.role,
  profile: row.profile,
  format: row.format,
  sizeBytes: Number(row.size_bytes),
  sha256: row.sha256,
  fileListSha256: row.file_list_sha256,
  platformVersion: row.platform_version,
  signature: row.signature,
  manifest: row.manifest,
});

const publishedOf = (row: Row): PublishedRelease => {
  const { manifest: _manifest, ...reference } = artifactOf(row);
  return { ...reference, publishedAt: row.published_at.toISOString(), publishedBy: row.published_by, channel: row.channel };
};

const releaseExists = (artifact: Artifact, published: string): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'release_exists',
    message: `Release ${artifact.releaseId} of ${artifact.product} (${artifact.role}, ${artifact.profile}) was published with digest ${published}; this bundle has ${artifact.sha256}`,
    hint: 'A release is one immutable build: give the new build a release id of its own.',
  });

const profileAmbiguous = (releaseId: ReleaseId, role: string, profiles: readonly string[]): FairleadError =>
  new FairleadError({
    class: 'request',
    code: 'profile_ambiguous',
    message: `Release ${releaseId} has ${profiles.length} artifacts for role ${role}: ${profiles.join(', ')}`,
    hint: 'Say which profile is meant.',
  });
