import type { RunRef } from '../../activities/host/dependencies.ts';
import type { HostId, ProductName, RunId } from '../../src/domain/ids.ts';

/** The run that every disturbed switch belongs to. */
export const switchRun: RunRef = { runId: '00000000-0000-4000-8000-000000000009' as RunId, host: 'h1' as HostId, product: 'walked' as ProductName, fence: 9 };

/** Steps that a switch program takes: of both, the last change is one to a directory's entries. */
export type SwitchActivity = 'activateRelease' | 'commitRelease';
