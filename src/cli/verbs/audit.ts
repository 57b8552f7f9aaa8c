import type { Command } from 'commander';
import type { AuditList, AuditVerifyAnswer } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { exitCodes } from '../errors.ts';
import { renderTable } from '../table.ts';
import { apiCommand, numberFrom, query } from './shared.ts';
import type { CommonOptions } from './shared.ts';

export function registerAudit(program: Command, context: Context): void {
  const audit = program.command('audit').description('who did what, and that nobody changed it since');

  apiCommand(
    audit.command('list').description('the latest rows, oldest first').option('--limit <count>', 'at most so many', numberFrom(1, '--limit'), 50).option('--after <sequence>', 'only rows after this one', numberFrom(0, '--after')).option('--run <run>').option('--subject <subject>', 'for example host/h1/noderax-platform'),
    context,
    async (api, { limit, after, run, subject, json }: CommonOptions & { limit: number; after?: number; run?: string; subject?: string }) => {
      const list = await api.get<AuditList>(`/api/audit${query({ limit, afterSequence: after, runId: run, subject })}`);
      if (json) return printJson(context, list);
      context.out(renderTable(['SEQ', 'AT', 'EVENT', 'SUBJECT', 'ACTOR', 'RUN'], list.rows.map((row) => [String(row.sequence), row.at, row.event, row.subject, row.actor, row.runId ?? '-'])));
      if (list.rows.length === 0) context.note('no rows');
    },
  );

  apiCommand(audit.command('verify').description('reads every row and computes every hash again'), context, async (api, options: CommonOptions) => {
    const answer = await api.post<AuditVerifyAnswer>('/api/audit/verify', { timeoutMs: 600_000 });
    if (options.json) printJson(context, answer);
    else if (answer.ok) context.out(`the chain of ${answer.rows} rows is whole\n`);
    else context.out(`BROKEN at row ${answer.firstBroken?.sequence}: ${answer.firstBroken?.why} (of ${answer.rows} rows)\n`);
    if (!answer.ok) context.exitWith(exitCodes.failed);
  });
}
