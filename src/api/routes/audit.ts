import { Readable } from 'node:stream';
import { AuditCheckpointList, AuditCheckpointQuery, AuditList, AuditListQuery, AuditVerifyAnswer, AuditVerifyBody } from '../../contract/index.ts';
import type { AuditCheckpoint } from '../../domain/audit/checkpoint.ts';
import { exportLines } from '../../domain/audit/export.ts';
import type { AuditLog } from '../../ports/control-stores.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { auditExportBody } from '../stream-schema.ts';

const tags = ['audit'];
const batch = 1_000;

export function auditRoutes(app: Api, { stores, checkSignature }: ApiDependencies): void {
  app.get('/api/audit', { schema: { tags, summary: 'Audit rows, oldest first', querystring: AuditListQuery, response: { 200: AuditList } } }, async ({ query }) => {
    const rows = await stores.audit.list(query);
    return { rows, nextAfterSequence: rows.at(-1)?.sequence ?? null };
  });

  app.post('/api/audit/verify', { schema: { tags, summary: 'Compute every hash of the audit again, and hold the signed checkpoints against it', body: AuditVerifyBody, response: { 200: AuditVerifyAnswer } } }, async ({ body }) => {
    const verdict = await stores.audit.verify({ checkSignature: checkSignature?.() ?? null, saved: body?.saved ?? [] });
    const first = verdict.problems.find(({ where, sequence }) => where.startsWith('row ') && sequence !== null);
    return { ...verdict, problems: [...verdict.problems], firstBroken: first === undefined ? null : { sequence: first.sequence as number, why: first.why } };
  });

  app.get('/api/audit/checkpoints', { schema: { tags, summary: 'Signed checkpoints of the audit', querystring: AuditCheckpointQuery, response: { 200: AuditCheckpointList } } }, async ({ query }) => {
    const checkpoints = await stores.audit.checkpoints(query);
    return { checkpoints, nextAfterNumber: checkpoints.at(-1)?.number ?? null };
  });

  app.get(
    '/api/audit/export',
    {
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'The whole audit with its checkpoints, to be kept and verified elsewhere',
        description: 'One JSON value on each line: a header, the checkpoints, the rows, an end. `fairlead audit verify --file FILE --public-key FILE` needs nothing else.',
        response: { 200: auditExportBody },
      },
    },
    async (_request, reply) => reply.headers({ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' }).send(Readable.from(exported(stores.audit)) as never),
  );
}

/** Rows are only ever appended, so that pages up to where the audit ended at the start are one picture of it; no transaction waits for a slow reader. */
async function* exported(audit: AuditLog): AsyncGenerator<string> {
  const head = await audit.head();
  const checkpoints: AuditCheckpoint[] = [];
  for (let after = 0; ; after = checkpoints.at(-1)?.number ?? after) {
    const page = await audit.checkpoints({ limit: batch, afterNumber: after });
    checkpoints.push(...page.filter(({ sequence }) => sequence <= head.sequence));
    if (page.length < batch) break;
  }
  yield exportLines.start({ exportedAt: new Date().toISOString(), head }, checkpoints);
  let rows = 0;
  for (let after = 0; after < head.sequence; ) {
    const page = (await audit.list({ limit: batch, afterSequence: after })).filter(({ sequence }) => sequence <= head.sequence);
    // Whatever is missing is missed by whoever verifies the export.
    if (page.length === 0) break;
    yield exportLines.rows(page);
    rows += page.length;
    after = page.at(-1)?.sequence ?? head.sequence;
  }
  yield exportLines.end({ rows, checkpoints: checkpoints.length });
}
