import { AuditList, AuditListQuery, AuditVerifyAnswer } from '../../contract/index.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';

const tags = ['audit'];

export function auditRoutes(app: Api, { stores }: ApiDependencies): void {
  app.get('/api/audit', { schema: { tags, summary: 'Audit rows, oldest first', querystring: AuditListQuery, response: { 200: AuditList } } }, async ({ query }) => {
    const rows = await stores.audit.list(query);
    return { rows, nextAfterSequence: rows.at(-1)?.sequence ?? null };
  });

  app.post('/api/audit/verify', { schema: { tags, summary: 'Compute every hash of the audit again', response: { 200: AuditVerifyAnswer } } }, async () => stores.audit.verify());
}
