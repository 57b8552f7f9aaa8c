import type { RunLinks } from '../contract/index.ts';
import type { RunId } from '../domain/ids.ts';
import type { ApiServerSettings } from './dependencies.ts';

/** Where a run can be followed. Paths of the API are relative to its origin. */
export function linksOf(settings: ApiServerSettings, runId: RunId, workflowId: string): RunLinks {
  const ui = settings.temporalUi;
  return {
    self: `/api/runs/${runId}`,
    events: `/api/runs/${runId}/events`,
    temporalUi: ui === null ? null : `${ui.url.replace(/\/+$/, '')}/namespaces/${encodeURIComponent(ui.namespace)}/workflows/${encodeURIComponent(workflowId)}/${encodeURIComponent(runId)}`,
  };
}
