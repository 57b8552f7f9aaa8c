import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { AuditCheckpointList, AuditList, AuditVerifyAnswer } from '../../contract/index.ts';
import type { AuditVerdict } from '../../domain/audit/verification.ts';
import type { ApiClient } from '../api-client.ts';
import { createApiClient } from '../api-client.ts';
import { linesOf, readCheckpoints, readText, verifyExport } from '../audit-export.ts';
import { findConnection, withConnection } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { exitCodes } from '../errors.ts';
import { renderTable } from '../table.ts';
import { auditBrief } from '../audit-text.ts';
import { apiCommand, instantOf, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';

interface ListOptions extends CommonOptions {
  readonly limit: number;
  readonly after?: number;
  readonly run?: string;
  readonly host?: string;
  readonly actor?: string;
  readonly event?: string;
  readonly since?: string;
  readonly until?: string;
  readonly subject?: string;
}
type VerifyOptions = CommonOptions & { readonly file?: string; readonly publicKey?: string; readonly checkpoints?: string };

export function registerAudit(program: Command, context: Context): void {
  const audit = program.command('audit').description('who did what, and that nobody changed it since');

  apiCommand(
    audit
      .command('list')
      .description('the latest rows of which all is true that is asked for, oldest first')
      .option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 50)
      .option('--after <sequence>', 'only rows after this one', numberFrom(0, '--after'))
      .option('--run <run>')
      .option('--host <host>', 'about this host: its runs, its certificates, itself')
      .option('--actor <name>', 'by this key, or this part of Fairlead')
      .option('--event <event>', 'for example run.ended; run finds all that begin with run.')
      .option('--since <time>', 'from then on: an instant (2026-11-21T18:00:00Z), or a duration back from now (7d)')
      .option('--until <time>', 'before then, in the same words')
      .option('--subject <subject>', 'for example host/h1/noderax-platform'),
    context,
    async (api, { limit, after, run, since, until, json, subject, host, actor, event }: ListOptions) => {
      const between = { since: since && instantOf(since, '--since', 'back'), until: until && instantOf(until, '--until', 'back') };
      const list = await api.get<AuditList>(`/api/audit${query({ limit, afterSequence: after, runId: run, subject, host, actor, event, ...between })}`);
      if (json) return printJson(context, list);
      context.out(renderTable(['SEQ', 'AT', 'EVENT', 'SUBJECT', 'ACTOR', 'WHAT', 'RUN'], list.rows.map((row) => [String(row.sequence), row.at, row.event, row.subject, row.actor, auditBrief(row.detail), row.runId ?? '-'])));
      if (list.rows.length === limit) context.note(after === undefined ? `the latest ${limit}; older ones: --limit, --since, --until` : `there may be more: --after ${list.nextAfterSequence}`);
      if (list.rows.length === 0) context.note('no rows');
    },
  );

  const verify = audit
    .command('verify')
    .description('reads every row, computes every hash again, and holds the signed checkpoints against it')
    .option('--file <file>', 'an export, which is verified by itself: no server is asked')
    .option('--public-key <file>', 'public keys (PEM) that checkpoints have to be signed with; with it the server is not believed, its export is verified here')
    .option('--checkpoints <file>', 'checkpoints that were kept elsewhere: they miss what was cut off together with its checkpoints');
  withConnection(verify).action(async (options: VerifyOptions) => {
    const verdict = await verdictOf(options, () => createApiClient(findConnection(options, context)));
    if (options.json) printJson(context, verdict);
    else context.out(verdictText(verdict));
    if (!verdict.signaturesChecked) context.note('no signature was checked: give --public-key, and have the server sign checkpoints (audit.keyFile)');
    if (!verdict.ok) context.exitWith(exitCodes.failed);
  });

  apiCommand(audit.command('export').description('the whole audit with its checkpoints, to be kept and verified elsewhere').option('-o, --output <file>', 'where it is written, 0600 (default: standard output)'), context, async (api, { output }: CommonOptions & { output?: string }) => {
    const body = await exported(api, context);
    if (output === undefined) {
      for await (const chunk of body) context.out((chunk as Buffer).toString('utf8'));
      return;
    }
    const part = `${output}.part`;
    try {
      await pipeline(body, createWriteStream(part, { mode: 0o600 }));
      renameSync(part, output);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
    context.note(`written; verify it anywhere: fairlead audit verify --file ${output} --public-key FILE`);
  });

  apiCommand(audit.command('checkpoints').description('signed checkpoints, to be kept where nobody writes who can write to the database').option('--limit <count>', 'only the latest ones', numberFrom(1, '--limit'), 1), context, async (api, { limit, json }: CommonOptions & { limit: number }) => {
    const list = await api.get<AuditCheckpointList>(`/api/audit/checkpoints${query({ limit })}`);
    if (json) return printJson(context, list);
    context.out(renderTable(['CHECKPOINT', 'AT', 'ROW', 'HASH', 'KEY'], list.checkpoints.map((each) => [String(each.number), each.at, String(each.sequence), each.hash, each.keyId])));
    if (list.checkpoints.length === 0) context.note('no checkpoint was signed yet: audit.keyFile names the key');
  });
}

async function verdictOf({ file, publicKey, checkpoints }: VerifyOptions, connect: () => ApiClient): Promise<AuditVerdict | AuditVerifyAnswer> {
  const saved = checkpoints === undefined ? [] : readCheckpoints(checkpoints);
  const key = publicKey === undefined ? null : readText(publicKey);
  if (file !== undefined) return verifyExport(linesOf(file), key, saved);
  const api = connect();
  if (key === null) return api.post<AuditVerifyAnswer>('/api/audit/verify', { body: { saved }, timeoutMs: 600_000 });
  const body = Readable.fromWeb((await api.open('/api/audit/export', { headers: { accept: 'application/x-ndjson' } })).body as never);
  return verifyExport(createInterface({ input: body, crlfDelay: Number.POSITIVE_INFINITY }), key, saved);
}

async function exported(api: ApiClient, context: Context): Promise<Readable> {
  const { body } = await api.open('/api/audit/export', { headers: { accept: 'application/x-ndjson' }, cancel: context.interrupted });
  return Readable.fromWeb(body as never);
}

function verdictText({ ok, rows, checkpoints, rowsSinceCheckpoint, problems }: AuditVerdict | AuditVerifyAnswer): string {
  if (ok) return `the chain of ${rows} rows is whole, and so are ${checkpoints} checkpoints; ${rowsSinceCheckpoint} rows are newer than the last one\n`;
  return problems.map(({ where, why }) => `BROKEN at ${where}: ${why}\n`).join('') + `${rows} rows and ${checkpoints} checkpoints were read\n`;
}
