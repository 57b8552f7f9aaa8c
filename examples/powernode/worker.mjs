// Works on jobs, one after the other. Told to end, it finishes the one that is under way, which may take up to its 28 seconds.
import { serve } from './lib/serve.mjs';
import { instance, readFaults } from './lib/release.mjs';

const { jobMs = Number(process.env.JOB_MS ?? 200), notReady = false } = readFaults();
let done = 0;
let stopping = false;
const working = work();

async function work() {
  while (!stopping) {
    await new Promise((resolve) => setTimeout(resolve, jobMs));
    done += 1;
  }
}

serve(
  (url) => (url.pathname === '/health/ready' ? [notReady ? 503 : 200, { status: stopping ? 'draining' : 'ok', done }] : null),
  async () => {
    stopping = true;
    await working;
    console.log(`${instance}: the last job is done`);
  },
);
