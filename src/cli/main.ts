import { runAsProcess } from './as-process.ts';
import { createProgram } from './program.ts';

await runAsProcess(createProgram);
