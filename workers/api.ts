import { runApi } from '../src/runtime/api.ts';

await runApi(process.argv.slice(2));
