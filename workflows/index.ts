export { updateApply } from './update-apply.ts';
