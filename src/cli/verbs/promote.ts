import type { Command } from 'commander';
import type { PromotionBody, PromotionPlanBody, RunAccepted, UpdatePlanAnswer } from '../../contract/index.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { followAccepted, type AcceptedOptions } from './follow-accepted.ts';
import { issueBody, issuerOptions, type IssuerOptions } from './issuer-options.ts';
import { renderPlan } from './plan-text.ts';
import { usageError } from '../errors.ts';
import { apiCommand, numberFrom } from './shared.ts';
import { resolveTarget } from './target.ts';

interface PromoteOptions extends AcceptedOptions, IssuerOptions {
  readonly tls?: boolean;
  readonly host?: string;
  readonly product?: string;
  readonly release?: string;
  readonly bakeSeconds?: number;
  readonly plan?: boolean;
}

export function registerPromote(program: Command, context: Context): void {
  apiCommand(
    issuerOptions(
      program
        .command('promote')
        .description('take a host from its setup phase to the installed one, and follow it to its end')
        .option('--host <host>', 'which host (default: the only one)')
        .option('--product <product>', 'which product (default: the only one)')
        .option('--release <release>', 'promote only if the host runs this release')
        .option('--bake-seconds <seconds>', 'how long an instance has to stay healthy before the next one is started', numberFrom(0, '--bake-seconds'))
        .option('--plan', 'say what it would do, and do nothing')
        .option('--detach', 'print the run and leave')
        .option('--timeout <seconds>', 'leave after this time with exit code 8', numberFrom(0, '--timeout'))
        .option('--tls', 'get the certificate in the same course, as cert issue does, and redirect to TLS; the options below are about it'),
    ),
    context,
    async (api, options: PromoteOptions) => {
      if (options.tls !== true && Object.keys(issueBody(options)).length > 0) throw usageError('options about the certificate were given without --tls', 'add --tls');
      const certificate = options.tls === true ? { certificate: issueBody(options) } : {};
      const target = await resolveTarget(api, options);
      if (options.plan === true) {
        const plan = await api.post<UpdatePlanAnswer>('/api/promotions/plan', { body: { ...target, ...certificate } as PromotionPlanBody });
        if (options.json) return printJson(context, plan);
        return context.out(renderPlan(plan));
      }
      const { release, bakeSeconds } = options;
      const body = { ...target, ...(release === undefined ? {} : { releaseId: release }), ...(bakeSeconds === undefined ? {} : { bakeSeconds }), ...certificate } as PromotionBody;
      const accepted = await api.post<RunAccepted>('/api/promotions', { body });
      return followAccepted(api, accepted, `promotion of ${accepted.product} on ${accepted.host}`, options, context);
    },
  );
}
