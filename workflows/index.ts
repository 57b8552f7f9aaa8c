export { updateApply } from './update-apply.ts';
export { promotion } from './promotion.ts';
export { serviceChange } from './service-change.ts';
export { serviceLook } from './service-look.ts';
export { serviceRestart } from './service-restart.ts';
export { fleetRollout } from './fleet-rollout.ts';
export { rolloutShard } from './rollout-shard.ts';
