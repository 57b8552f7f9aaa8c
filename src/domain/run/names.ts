/** Names that stand in histories and that clients call by: changing one breaks runs in flight. */
export const updateApplyWorkflow = 'updateApply';
export const promotionWorkflow = 'promotion';
export const serviceRestartWorkflow = 'serviceRestart';
export const serviceChangeWorkflow = 'serviceChange';
export const serviceLookWorkflow = 'serviceLook';
export const certRenewalWorkflow = 'certRenewal';
export const certDistributionWorkflow = 'certDistribution';
export const certificateSweepWorkflow = 'certificateSweep';
/** The schedule that starts the sweep, and the workflow id of each. */
export const certificateSchedule = 'certificates';
export const releaseCheckWorkflow = 'releaseCheck';
export const releaseSchedule = 'releases';
export const bundlePrefetchWorkflow = 'bundlePrefetch';
/** Has a run that waits to ask the CA again ask now. */
export const tryNowSignal = 'tryNow';
/** Adds a request to a restart that has not begun. */
export const joinRestartUpdate = 'joinRestart';
/** The type of failure with which a restart that has begun turns a request away: it belongs to the next one. */
export const restartBegan = 'RestartBegan';
export const progressQuery = 'progress';

/** Search attributes, all Keyword. Never encrypted by the server: nothing secret goes into them. */
export const searchAttributes = {
  host: 'FairleadHost',
  product: 'FairleadProduct',
  release: 'FairleadRelease',
  outcome: 'FairleadOutcome',
} as const;
