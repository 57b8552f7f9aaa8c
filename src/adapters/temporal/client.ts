import { Client, type ClientInterceptors, type Connection } from '@temporalio/client';
import { TypedSearchAttributes, defineSearchAttributeKey, type PayloadCodec } from '@temporalio/common';
import type { HostId, ProductName, ReleaseId } from '../../domain/ids.ts';
import { searchAttributes } from '../../domain/run/names.ts';

/** What speaks to a Temporal server as a client, and starts workflows there. */
export interface ClientOptions {
  readonly connection: Connection;
  /** host:port, for what people read. */
  readonly address: string;
  readonly namespace: string;
  /** What payloads are encrypted with; null where they are not. */
  readonly codec?: PayloadCodec | null;
  /** Stands before every call of the client. */
  readonly interceptors?: ClientInterceptors;
  /** How long a control worker may take to decide the next step; one that was killed meanwhile holds the workflow up for as long. */
  readonly workflowTaskTimeoutMs: number;
}

export const createClient = ({ connection, namespace, codec = null, interceptors = {} }: Omit<ClientOptions, 'address' | 'workflowTaskTimeoutMs'>): Client =>
  new Client({ connection, namespace, interceptors, ...(codec === null ? {} : { dataConverter: { payloadCodecs: [codec] } }) });

/** By what a workflow is found in the Web UI; what is left out it has not. */
export function foundBy(values: { readonly host?: HostId; readonly product: ProductName; readonly release?: ReleaseId }): TypedSearchAttributes {
  const pairs = (['host', 'product', 'release'] as const).flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [{ key: defineSearchAttributeKey(searchAttributes[name], 'KEYWORD'), value: value as string }];
  });
  return new TypedSearchAttributes(pairs);
}
