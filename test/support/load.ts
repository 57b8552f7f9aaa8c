export { startLoad } from '../../bench/support/load.ts';
export type { LoadOptions, LoadResult } from '../../bench/support/load.ts';
