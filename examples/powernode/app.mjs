import { join } from 'node:path';
import { readJson, stateDir } from './lib/release.mjs';

/** What the backend answers, with the settings as they are now: `{state}/settings.json`. @param generation how often it was reloaded */
export function createApp(generation) {
  const settings = readJson(join(stateDir, 'settings.json'), {});
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  return async (url, { faults }) => {
    const facts = { status: 'ok', pid: process.pid, generation, settings };
    switch (url.pathname) {
      case '/health':
      case '/health/live':
      case '/health/detailed':
      case '/api/health':
        return [200, facts];
      case '/health/ready':
        return faults.notReady ? [503, { status: 'not_ready' }] : [200, facts];
      case '/api/slow':
        await pause(Number(url.searchParams.get('ms') ?? 1000));
        return [200, facts];
      default:
        return null;
    }
  };
}
