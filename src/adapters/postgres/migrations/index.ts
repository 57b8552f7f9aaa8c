import type { Kysely } from 'kysely';
import * as initial from './0001-initial.ts';
import * as healings from './0002-healings.ts';
import * as fleet from './0003-fleet.ts';
import * as rollouts from './0004-rollouts.ts';
import * as certificates from './0005-certificates.ts';
import * as keys from './0006-keys.ts';
import * as settings from './0008-settings.ts';
import * as auditCheckpoints from './0009-audit-checkpoints.ts';
import * as channels from './0010-channels.ts';
import * as webhooks from './0011-webhooks.ts';

export interface Migration {
  /** The file's name; never changed once it was released. */
  readonly name: string;
  // A migration is written against the schema of its day, not against today's types.
  up(db: Kysely<any>): Promise<void>;
}

/** In order. A list, because a bundled program has no directory to read. */
export const migrations: readonly Migration[] = [
  { name: '0001-initial', up: initial.up },
  { name: '0002-healings', up: healings.up },
  { name: '0003-fleet', up: fleet.up },
  { name: '0004-rollouts', up: rollouts.up },
  { name: '0005-certificates', up: certificates.up },
  { name: '0006-keys', up: keys.up },
  { name: '0008-settings', up: settings.up },
  { name: '0009-audit-checkpoints', up: auditCheckpoints.up },
  { name: '0010-channels', up: channels.up },
  { name: '0011-webhooks', up: webhooks.up },
];
