import type { RunLinks } from '../contract/index.ts';
import type { RunId } from '../domain/ids.ts';
import type { ApiServerSettings } from './dependencies.ts';

/** A workflow in the Temporal Web UI; null where there is none. @param runId left out, its newest execution */
export function temporalUiOf({ temporalUi: ui }: ApiServerSettings, workflowId: string, runId: string | null): string | null {
  if (ui === null) return null;
  return `${ui.url.replace(/\/+$/, '')}/namespaces/${encodeURIComponent(ui.namespace)}/workflows/${encodeURIComponent(workflowId)}${runId === null ? '' : `/${encodeURIComponent(runId)}`}`;
}

/** Where a run can be followed. Paths of the API are relative to its origin. */
export const linksOf = (settings: ApiServerSettings, runId: RunId, workflowId: string): RunLinks => ({
  self: `/api/runs/${runId}`,
  events: `/api/runs/${runId}/events`,
  temporalUi: temporalUiOf(settings, workflowId, runId),
});
