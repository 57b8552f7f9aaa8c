import { runExtractWorker } from './extract-worker.ts';

runExtractWorker();
