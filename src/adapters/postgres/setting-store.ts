import { createHmac } from 'node:crypto';
import { sql } from 'kysely';
import { FairleadError } from '../../domain/failure.ts';
import { maskSecret } from '../../domain/setting/mask.ts';
import type { SettingName } from '../../domain/setting/name.ts';
import type { ListedSetting, SettingStore } from '../../ports/setting-store.ts';
import { SealError, type SealFault, type Sealing } from '../sealed/sealing.ts';
import type { SettingSealing } from '../setting-keys/file.ts';
import { resealWebhooks } from './webhook-store.ts';
import type { Database } from './database.ts';

interface Row {
  readonly name: SettingName;
  readonly sealed: Buffer;
  readonly key_id: string;
  readonly set_at: Date;
  readonly set_by: string;
}

export function createSettingStore(database: Database, sealingOf: SettingSealing): SettingStore {
  const rows = (name?: SettingName): Promise<Row[]> =>
    database.query('reading settings', (db) => {
      const all = db.selectFrom('settings').selectAll().orderBy('name');
      return (name === undefined ? all : all.where('name', '=', name)).execute();
    });
  const listed = async (found: readonly Row[]): Promise<ListedSetting[]> => {
    if (found.length === 0) return [];
    const sealing = await sealingOf().catch(asProblem);
    return found.map((row) => shownOf(row, sealing));
  };

  return {
    set: async (name, value, by) => {
      const sealing = await sealingOf();
      const sealed = sealing.seal(Buffer.from(value, 'utf8'), name);
      return database.transaction(`setting ${name}`, async (transaction) => {
        const before = await transaction.selectFrom('settings').select('name').where('name', '=', name).forUpdate().executeTakeFirst();
        const row = await transaction
          .insertInto('settings')
          .values({ name, sealed, key_id: sealing.keyId, set_by: by })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ sealed, key_id: sealing.keyId, set_by: by, set_at: sql<Date>`now()` }))
          .returningAll()
          .executeTakeFirstOrThrow();
        return { setting: shownOf(row, sealing), replaced: before !== undefined };
      });
    },

    list: async () => listed(await rows()),
    find: async (name) => (await listed(await rows(name)))[0] ?? null,

    unset: async (name) => {
      const row = await database.query(`unsetting ${name}`, (db) => db.deleteFrom('settings').where('name', '=', name).returning('name').executeTakeFirst());
      return row === undefined ? 'not_found' : 'removed';
    },

    rotate: async () => {
      const sealing = await sealingOf();
      return database.transaction('sealing settings anew', async (transaction) => {
        const all = await transaction.selectFrom('settings').selectAll().orderBy('name').forUpdate().execute();
        const stale = all.filter(({ key_id: keyId }) => keyId !== sealing.keyId);
        for (const row of stale) await transaction.updateTable('settings').set({ sealed: sealing.seal(opened(row, sealing), row.name), key_id: sealing.keyId }).where('name', '=', row.name).execute();
        const webhooks = await resealWebhooks(transaction, sealing);
        return { keyId: sealing.keyId, resealed: [...stale.map(({ name }) => name as string), ...webhooks.resealed], already: all.length - stale.length + webhooks.already };
      });
    },

    read: async (name) => {
      const [row] = await rows(name);
      return row === undefined ? null : opened(row, await sealingOf()).toString('utf8');
    },

    // Under a seal's key and not a plain digest: a short secret could be guessed from one that stands in the database.
    digest: async (value) => {
      const sealing = await sealingOf();
      return createHmac('sha256', sealing.derived('digest')).update(value, 'utf8').digest('hex');
    },
  };
}

function shownOf(row: Row, sealing: Sealing | FairleadError): ListedSetting {
  const shown = { name: row.name, keyId: row.key_id, setAt: row.set_at.toISOString(), setBy: row.set_by };
  if (sealing instanceof FairleadError) return { ...shown, masked: null, problem: sealing.reason };
  try {
    return { ...shown, masked: maskSecret(opened(row, sealing).toString('utf8')), problem: null };
  } catch (error) {
    return { ...shown, masked: null, problem: asProblem(error).reason };
  }
}

function opened({ name, sealed }: Row, sealing: Sealing): Buffer {
  try {
    return sealing.open(sealed, name);
  } catch (error) {
    throw error instanceof SealError ? new FairleadError({ class: 'request', ...reasonOf[error.fault](name, error.keyId) }, { cause: error }) : error;
  }
}

const again = (name: SettingName): string => `Put the key back (the last line of the key file will do), or set it anew: fairlead settings set ${name}`;
const damaged = (name: SettingName) => ({ code: 'setting_damaged', message: `Setting ${name} was changed in the database, or is that of another name: it does not open.`, hint: `Set it anew: fairlead settings set ${name}. See who could write to the database.` });
const reasonOf: Readonly<Record<SealFault, (name: SettingName, keyId: string) => { code: string; message: string; hint: string }>> = {
  not_sealed: damaged,
  damaged,
  unknown_key: (name, keyId) => ({ code: 'setting_key_unknown', message: `Setting ${name} was sealed by key ${keyId}, which is not among the keys of the settings.`, hint: again(name) }),
  wrong_key: (name, keyId) => ({ code: 'setting_key_wrong', message: `Setting ${name} was sealed by another key than the one that is called ${keyId} here.`, hint: again(name) }),
};

function asProblem(error: unknown): FairleadError {
  if (error instanceof FairleadError) return error;
  throw error;
}
