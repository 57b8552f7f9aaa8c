import { defineSearchAttributeKey } from '@temporalio/common';
import { upsertSearchAttributes } from '@temporalio/workflow';
import type { HostId, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import { searchAttributes } from '../../src/domain/run/names.ts';

const keyword = (name: string) => defineSearchAttributeKey(name, 'KEYWORD');

/** What a child is found by in the Web UI. @param about.host left out where it is about many */
export const attributesOf = ({ host, product, release }: { readonly host?: HostId; readonly product: ProductName; readonly release: ReleaseId }) => [
  ...(host === undefined ? [] : [{ key: keyword(searchAttributes.host), value: host }]),
  { key: keyword(searchAttributes.product), value: product },
  { key: keyword(searchAttributes.release), value: release },
];

/** How this workflow ended, for the Web UI. */
export const showOutcome = (outcome: string): void => upsertSearchAttributes([{ key: keyword(searchAttributes.outcome), value: outcome }]);
