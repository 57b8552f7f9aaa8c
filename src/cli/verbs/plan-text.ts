import type { UpdatePlanAnswer } from '../../contract/index.ts';
import { stepTitle, type UpdateStep } from '../../domain/update/step.ts';

/** What an update or a promotion would do, for people: the decision first, then every step that the run will take, in its order. */
export function renderPlan(answer: UpdatePlanAnswer): string {
  const { host, product, decision, plan, activeReleaseId, certificate, reason, observedAt } = answer;
  const seen = `As the host told at ${observedAt}; a run looks again before it acts.`;
  if (decision === 'unchanged') return `NOTHING TO DO  ${product} on ${host}: ${activeReleaseId} is active and good.\n${seen}\n`;
  if (decision === 'refuse' || plan === null) {
    return `WOULD BE REFUSED  ${product} on ${host}: ${reason?.message ?? 'no reason was given'} (${reason?.code ?? 'unknown'})\n${reason?.hint ? `${reason.hint}\n` : ''}${seen}\n`;
  }
  const steps = plan.steps.map((step, at) => {
    const parts = step.name === 'obtain-certificate' && certificate !== undefined ? `: ${certificate.obtaining.join(', ')}` : '';
    return `  ${String(at + 1).padStart(2)}  ${stepTitle(step as UpdateStep)}${parts}\n`;
  });
  const warnings = plan.warnings.map((warning) => `! ${warning}\n`);
  return [
    plan.kind === 'promotion'
      ? `WOULD PROMOTE  ${product} ${plan.toReleaseId} on ${host}: phase ${plan.phaseBefore} -> ${plan.phase}\n`
      : `WOULD APPLY  ${product} on ${host}, phase ${plan.phase}, ${plan.strategy}: ${plan.fromReleaseId ?? 'nothing'} -> ${plan.toReleaseId}\n`,
    ...(certificate === undefined ? [] : [`With a certificate for ${certificate.names.join(', ')}, by ${certificate.issuer}${certificate.challenge === 'none' ? '' : `, proven by ${certificate.challenge}`}\n`]),
    ...warnings,
    '\n',
    ...steps,
    '\n',
    `${seen}\n`,
  ].join('');
}
