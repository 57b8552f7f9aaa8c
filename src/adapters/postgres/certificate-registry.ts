import type { CertificateRegistry, CertificateRow } from '../../ports/certificate-registry.ts';
import type { Database } from './database.ts';
import { toJson } from './json.ts';

const columns = ['host', 'product', 'wish', 'facts', 'plan', 'looked_at', 'last_try', 'failures', 'next_try_at'] as const;

export function createCertificateRegistry(database: Database): CertificateRegistry {
  const list: CertificateRegistry['list'] = async ({ host, product, after, limit } = {}) =>
    database.query('listing certificates', async (db) => {
      let rows = db.selectFrom('certificates').select(columns).orderBy('host').orderBy('product');
      if (host !== undefined) rows = rows.where('host', '=', host);
      if (product !== undefined) rows = rows.where('product', '=', product);
      if (after !== undefined) rows = rows.where(({ eb, refTuple, tuple }) => eb(refTuple('host', 'product'), '>', tuple(after.host, after.product)));
      if (limit !== undefined) rows = rows.limit(limit);
      return (await rows.execute()).map(
        ({ looked_at, last_try, next_try_at, ...row }): CertificateRow => ({ ...row, lookedAt: looked_at?.toISOString() ?? null, lastTry: last_try, nextTryAt: next_try_at?.toISOString() ?? null }),
      );
    });
  return {
    list,
    find: async (host, product) => (await list({ host, product }))[0] ?? null,
    propose: async (host, product, wish) => {
      await database.query(`noting the certificate of ${product} on host ${host}`, (db) =>
        db
          .insertInto('certificates')
          .values({ host, product, wish: toJson(wish) })
          // A first one that never came about may be asked for differently.
          .onConflict((conflict) => conflict.columns(['host', 'product']).doUpdateSet({ wish: toJson(wish) }).where('certificates.facts', 'is', null))
          .execute(),
      );
    },
    noteLook: async (host, product, { facts, plan, lookedAt }) => {
      await database.query(`noting the look at the certificate of ${product} on host ${host}`, (db) =>
        db
          .updateTable('certificates')
          .set({ facts: facts === null ? null : toJson(facts), plan: plan === null ? null : toJson(plan), looked_at: lookedAt })
          .where('host', '=', host)
          .where('product', '=', product)
          .execute(),
      );
    },
    noteTry: async (host, product, { lastTry, failures, nextTryAt, wish }) => {
      await database.query(`noting a try for the certificate of ${product} on host ${host}`, (db) =>
        db
          .updateTable('certificates')
          .set({ last_try: toJson(lastTry), failures, next_try_at: nextTryAt, ...(wish === undefined ? {} : { wish: toJson(wish) }) })
          .where('host', '=', host)
          .where('product', '=', product)
          .execute(),
      );
    },
  };
}
