/** Names that stand in histories and that clients call by: changing one breaks runs in flight. */
export const updateApplyWorkflow = 'updateApply';
export const promotionWorkflow = 'promotion';
export const progressQuery = 'progress';

/** Search attributes, all Keyword. Never encrypted by the server: nothing secret goes into them. */
export const searchAttributes = {
  host: 'FairleadHost',
  product: 'FairleadProduct',
  release: 'FairleadRelease',
  outcome: 'FairleadOutcome',
} as const;
