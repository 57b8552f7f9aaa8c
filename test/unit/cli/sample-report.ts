import type { HostId, InstanceName, ProductName, ReleaseId, RunId } from '../../../src/domain/ids.ts';
import type { Outcome, RunReport } from '../../../src/domain/run/report.ts';

const at = '2026-11-21T03:12:20.000Z';

/** A report as a run of that outcome leaves it. */
export function sampleReport(outcome: Outcome): RunReport {
  const failed = outcome === 'rolled_back' || outcome === 'stranded' || outcome === 'refused';
  const reason = failed ? { class: 'release' as const, code: 'probe_failed', message: 'probe ready of web-a did not pass within 30 s' } : null;
  return {
    schema: 1,
    runId: 'run-1' as RunId,
    workflowId: 'host/h1/lab',
    kind: 'update-apply',
    host: 'h1' as HostId,
    product: 'lab' as ProductName,
    fromReleaseId: 'r1' as ReleaseId,
    toReleaseId: 'r2' as ReleaseId,
    artifactRole: 'node',
    artifactProfile: 'default',
    requestedBy: 'ci (admin)',
    startedAt: at,
    endedAt: '2026-11-21T03:13:25.000Z',
    outcome,
    reason,
    steps: failed
      ? [
          { name: 'download', direction: 'do', startedAt: at, durationMs: 12, attempts: 2, outcome: 'done' },
          { name: 'restart', direction: 'do', instance: 'web-a' as InstanceName, startedAt: at, durationMs: 30_000, attempts: 1, outcome: 'failed', reason: reason! },
          { name: 'activate', direction: 'undo', startedAt: at, durationMs: 5, attempts: 1, outcome: 'done' },
        ]
      : [],
    evidence: failed
      ? [
          { kind: 'log', at, instance: 'web-a', path: '/var/log/lab/web-a.log', lines: Array.from({ length: 30 }, (_, index) => `line ${index + 1}`) },
          { kind: 'probe', at, probe: 'ready', target: 'web-a', passed: false, answer: '500 starting' },
          { kind: 'probe', at, probe: 'ready', target: 'web-a', passed: false, answer: '500 out of memory' },
        ]
      : [],
    backupPath: failed ? '/var/lib/lab/fairlead/backups/run-1' : null,
    recovery:
      outcome !== 'stranded'
        ? null
        : {
            schema: 1,
            runId: 'run-1' as RunId,
            host: 'h1' as HostId,
            product: 'lab' as ProductName,
            backupPath: '/var/lib/lab/fairlead/backups/run-1',
            failedStep: 'restart web-a',
            attemptedReleaseId: 'r2' as ReleaseId,
            lastGoodReleaseId: 'r1' as ReleaseId,
            activeReleaseId: 'r2' as ReleaseId,
            undone: [],
            stuckAt: 'activate',
            reason: { class: 'host', code: 'disk_full', message: 'the disk is full' },
            instances: [{ name: 'web-a' as InstanceName, status: 'failed', releaseId: null }],
            commands: ['sh /var/lib/lab/fairlead/recovery/run-1.sh', 'fairlead recover --product lab --run run-1'],
          },
  };
}
