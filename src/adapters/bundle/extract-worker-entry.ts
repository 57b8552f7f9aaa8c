import { runIfExtractWorker } from './extract-worker.ts';

runIfExtractWorker();
