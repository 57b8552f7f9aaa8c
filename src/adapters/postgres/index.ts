import { sql } from 'kysely';
import { createAuditLog } from './audit-log.ts';
import { createCertificateRegistry } from './certificate-registry.ts';
import type { Database } from './database.ts';
import { createEnrolmentStore } from './enrolment-store.ts';
import { createFleetStateStore } from './fleet-state-store.ts';
import { createHealingStore } from './healing-store.ts';
import { createHostRegistry } from './host-registry.ts';
import { createIdempotencyStore } from './idempotency-store.ts';
import { createKeyStore } from './key-store.ts';
import { createReleaseCatalog } from './release-catalog.ts';
import { createRolloutStore } from './rollout-store.ts';
import { createRunStore } from './run-store.ts';
import { createSettingSealing, type SettingSealing } from '../setting-keys/file.ts';
import { createSessionStore } from './session-store.ts';
import { createSettingStore } from './setting-store.ts';
import { createStatistics } from './statistics.ts';
import { createUpdatePolicyStore } from './update-policies.ts';
import { createWebhookStore } from './webhook-store.ts';

export { addressOf, createDatabase } from './database.ts';
export type { Database, DatabaseOptions } from './database.ts';
export { createFleetBus } from './fleet-bus.ts';
export { makeKeyText, maskKey, readKeyText } from './key-text.ts';
export { migrate } from './migrate.ts';
export type { MigrationResult } from './migrate.ts';

/** Every store of control, on one database. @param settings what seals and opens settings; without it they are refused, and everything else works */
export function createStores(database: Database, settings: SettingSealing = createSettingSealing({ file: 'settings.keys', text: null })) {
  return {
    releases: createReleaseCatalog(database),
    hosts: createHostRegistry(database),
    healings: createHealingStore(database),
    certificates: createCertificateRegistry(database),
    runs: createRunStore(database),
    rollouts: createRolloutStore(database),
    policies: createUpdatePolicyStore(database),
    audit: createAuditLog(database),
    keys: createKeyStore(database),
    idempotency: createIdempotencyStore(database),
    sessions: createSessionStore(database),
    fleet: createFleetStateStore(database),
    enrolments: createEnrolmentStore(database),
    settings: createSettingStore(database, settings),
    webhooks: createWebhookStore(database, settings),
    statistics: createStatistics(database),
  };
}

export type Stores = ReturnType<typeof createStores>;

/** Asks the database for nothing, to see whether it answers. Fails as every store does. */
export async function pingDatabase(database: Database): Promise<void> {
  await database.query('asking whether it answers', (db) => sql`select 1`.execute(db));
}
