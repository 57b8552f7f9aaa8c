import type { ColumnType, Generated } from 'kysely';
import type { ProductName } from '../../domain/ids.ts';
import type { WebhookEvent } from '../../domain/webhook/event.ts';
import type { WebhookMessage } from '../../domain/webhook/message.ts';
import type { WebhookDelivery } from '../../ports/webhook-store.ts';
import type { BigInteger, Defaulted, Instant, Json, NullableInstant } from './column-types.ts';

export interface WebhookTables {
  webhooks: {
    id: string;
    address: string;
    sealed: ColumnType<Buffer, Buffer, Buffer>;
    key_id: string;
    events: Json<readonly WebhookEvent[]>;
    products: Json<readonly ProductName[]>;
    after_sequence: BigInteger;
    created_at: Defaulted<Instant>;
    created_by: string;
    disabled: Generated<string | null>;
    attempted_at: Defaulted<NullableInstant>;
  };
  webhook_deliveries: {
    position: Generated<string>;
    id: string;
    webhook_id: string;
    audit_sequence: ColumnType<string | null, number | null, never>;
    message: Json<WebhookMessage>;
    state: Generated<WebhookDelivery['state']>;
    attempts: Defaulted<ColumnType<number, number, number>>;
    created_at: Instant;
    next_at: NullableInstant;
    last_at: Defaulted<NullableInstant>;
    last_answer: Generated<string | null>;
    ended_at: Defaulted<NullableInstant>;
  };
  webhook_progress: {
    singleton: Generated<boolean>;
    sequence: BigInteger;
  };
}
