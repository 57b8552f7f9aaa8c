import { RunAccepted, UpdateApplyBody, UpdateCheckAnswer, UpdateCheckBody, UpdateDownloadAnswer, UpdateDownloadBody, UpdateDownloadCancelAnswer, UpdateHistory, UpdateHistoryQuery, UpdatePlanAnswer, UpdatePlanBody, UpdateRollbackBody, UpdateStatusAnswer, UpdateStatusQuery } from '../../contract/index.ts';
import { MutationHeaders } from '../idempotency.ts';
import { problemContent } from '../problems.ts';

const tags = ['updates'];
const accepted = { 202: RunAccepted, 409: problemContent('Another run holds the host; `holdingRunId` and `links` name it') };

/** What /api/updates takes and answers, whoever does the updates: Fairlead, or a service that it asks. */
export const updateSchemas = {
  check: { tags, summary: 'Whether there is something newer for a host', body: UpdateCheckBody, response: { 200: UpdateCheckAnswer } },
  status: { tags, summary: 'What a host runs, and the run that changes it', querystring: UpdateStatusQuery, response: { 200: UpdateStatusAnswer } },
  plan: { tags, summary: 'What an update would do, without doing it', body: UpdatePlanBody, response: { 200: UpdatePlanAnswer } },
  download: {
    tags,
    summary: 'Bring a bundle to a host, ahead of the update',
    description: 'The controller reads its copy whole and computes its digest again; then the host fetches it from there and verifies it, so that an update finds it. Asked again for the same bundle, the request joins; asked for another one, that takes its place. Nothing that runs on the host is changed. A service that does updates instead answers 200.',
    headers: MutationHeaders,
    body: UpdateDownloadBody,
    response: { 200: UpdateDownloadAnswer, 202: UpdateDownloadAnswer },
  },
  cancelDownload: {
    tags,
    summary: 'End a download that is under way',
    description: 'What has come so far stays on the host, and is gone on with where the bundle is asked for again. 200 where none is under way.',
    headers: MutationHeaders,
    querystring: UpdateStatusQuery,
    response: { 200: UpdateDownloadCancelAnswer, 202: UpdateDownloadCancelAnswer },
  },
  apply: { tags, summary: 'Start an update of a host', headers: MutationHeaders, body: UpdateApplyBody, response: accepted },
  rollback: {
    tags,
    summary: 'Start an update back to the good release before the active one',
    description: 'A run like every other: what it goes to must be published and must accept the way back. Asked again after it succeeded, it goes forward again.',
    headers: MutationHeaders,
    body: UpdateRollbackBody,
    response: accepted,
  },
  history: { tags, summary: 'Past and present updates, newest first', querystring: UpdateHistoryQuery, response: { 200: UpdateHistory } },
} as const;
