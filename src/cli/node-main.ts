import { runAsProcess } from './as-process.ts';
import { createNodeProgram } from './node-program.ts';

await runAsProcess(createNodeProgram);
