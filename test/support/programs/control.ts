import { runControl } from '../../../src/runtime/control.ts';
import { createAround } from '../checkpoints.ts';

// The control worker as it is shipped, with checkpoints around its activities.
await runControl(process.argv.slice(2), { around: createAround('control', '') });
