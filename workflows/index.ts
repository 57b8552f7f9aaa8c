export { updateApply } from './update-apply.ts';
export { promotion } from './promotion.ts';
