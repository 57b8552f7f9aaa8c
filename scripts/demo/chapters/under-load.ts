import { setTimeout as pause } from 'node:timers/promises';
import { startLoad } from '../../../bench/support/load.ts';
import { startsOf } from '../look.ts';
import type { Screen } from '../screen.ts';
import type { Stage } from '../stage.ts';

const requestsPerSecond = 200;
const connections = 20;

export async function underLoad(stage: Stage, screen: Screen): Promise<void> {
  screen.chapter(`An update under load: ${requestsPerSecond} requests/s on ${connections} kept connections, each tenth a POST`);
  const address = await stage.address();
  const load = startLoad({ urls: [`${address}/api/health`, `${address}/`], postUrl: `${address}/api/rows`, postShare: 0.1, requestsPerSecond, connections });
  try {
    await pause(300, undefined, { signal: stage.cancel });
    const { report, exitCode, tookMs } = await stage.apply('r2');
    await pause(300, undefined, { signal: stage.cancel });
    screen.claim('the update succeeds', report.outcome === 'succeeded' && exitCode === 0, `${report.outcome} in ${(tookMs / 1000).toFixed(1)} s, exit code ${exitCode}`);
  } finally {
    const { sent, succeeded, failed, retriedOnClosedConnection, maxLatencyMs, byReleaseId } = await load.stop();
    const again = retriedOnClosedConnection === 0 ? '' : ` (${retriedOnClosedConnection} sent again on a new connection, as RFC 9112 9.3.1 has it)`;
    screen.claim('no request fails', sent > 0 && failed.length === 0 && succeeded === sent, `${sent} sent, ${failed.length} failed${again}; the slowest took ${maxLatencyMs} ms`);
    for (const { at, error, path } of failed.slice(0, 5)) screen.say(`  failed at ${at}: ${path}: ${error}`);
    screen.claim('clients saw the old release, then the new one', (byReleaseId['r1'] ?? 0) > 0 && (byReleaseId['r2'] ?? 0) > 0, Object.entries(byReleaseId).sort().map(([release, answers]) => `${answers} answers of ${release}`).join(', '));
  }
  const starts = await startsOf(stage.layout, 'r2');
  screen.claim('each instance is restarted once', starts['api-a'] === 1 && starts['api-b'] === 1, `starts on r2: ${shown(starts)}`);
}

export const shown = (starts: Readonly<Record<string, number>>): string => Object.entries(starts).sort().map(([instance, count]) => `${instance} ${count}`).join(', ') || 'none';
