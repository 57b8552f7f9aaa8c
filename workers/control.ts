import { runControl } from '../src/runtime/control.ts';

await runControl(process.argv.slice(2));
