import type { HostId } from '../../domain/ids.ts';
import type { UpdatePolicyStore } from '../../ports/update-policies.ts';
import type { Database } from './database.ts';
import { toJson } from './json.ts';

/** In the key of a row: every host of the product. No host is named so. */
const everyHost = '';

export function createUpdatePolicyStore(database: Database): UpdatePolicyStore {
  return {
    list: () =>
      database.query('listing update policies', async (db) =>
        (await db.selectFrom('update_policies').selectAll().orderBy('product').orderBy('host').execute()).map(({ host, set_by, set_at, ...row }) => ({
          ...row,
          host: host === everyHost ? null : (host as HostId),
          setBy: set_by,
          setAt: set_at.toISOString(),
        })),
      ),
    set: async ({ product, host, channel, action, windows, setBy, setAt }) => {
      const row = { channel, action, windows: toJson(windows), set_by: setBy, set_at: setAt };
      await database.query(`setting the update policy of ${product}`, (db) =>
        db
          .insertInto('update_policies')
          .values({ product, host: host ?? everyHost, ...row })
          .onConflict((conflict) => conflict.columns(['product', 'host']).doUpdateSet(row))
          .execute(),
      );
    },
    remove: (product, host) =>
      database.query(`removing the update policy of ${product}`, async (db) => {
        const removed = await db.deleteFrom('update_policies').where('product', '=', product).where('host', '=', host ?? everyHost).executeTakeFirst();
        return removed.numDeletedRows > 0n;
      }),
  };
}
