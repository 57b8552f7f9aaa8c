import type { InstanceName } from '../ids.ts';
import type { ServicePlan } from './plan.ts';
import type { ServiceStep, ServiceUndoStep } from './step.ts';

/**
 * Which steps bring the host back, given the steps that were started and those of them that came to their end. Pure.
 *
 * The release is the same before and after, so "back" means: every instance that was touched is ready and gets requests again. One that was only
 * drained is let back in without a restart; one that was restarted and is not ready is restarted once more, on the way back; after a cancel it is only
 * started where it does not run. After a reload nothing is restarted, since nobody asked for that: the instance gets its time to be ready once more.
 *
 * @param started in the order in which they were started; the last one may have failed half-way.
 */
export function planServiceUndo(plan: ServicePlan, started: readonly ServiceStep[], ended: readonly ServiceStep[], cancelled: boolean): ServiceUndoStep[] {
  const steps: ServiceUndoStep[] = [];
  const touched = [...new Set(started.flatMap((step) => ('instance' in step ? [step.instance] : [])))].reverse();
  for (const instance of touched) steps.push(...undoOf(instance, started, ended, cancelled, plan));
  if (started.some((step) => 'instance' in step && step.name !== 'add')) steps.push({ name: 'verify-health' });
  if (started.some(({ name }) => name === 'open-intent')) steps.push({ name: 'close-intent' });
  return steps;
}

function undoOf(instance: InstanceName, started: readonly ServiceStep[], ended: readonly ServiceStep[], cancelled: boolean, plan: ServicePlan): ServiceUndoStep[] {
  const began = (name: ServiceStep['name']) => started.some((step) => step.name === name && 'instance' in step && step.instance === instance);
  const did = (name: ServiceStep['name']) => ended.some((step) => step.name === name && 'instance' in step && step.instance === instance);
  const added = plan.steps.find((step) => step.name === 'add' && step.instance === instance);
  if (added?.name === 'add') {
    const { service, short } = added;
    return [...(began('restart') ? [{ name: 'retire', instance } as const] : []), { name: 'forget', instance, service, short }];
  }
  if (did('admit')) return [];
  const back: ServiceUndoStep[] = [{ name: 'prove', instance }, { name: 'admit', instance }];
  if (began('retire')) return [{ name: 'restart', instance, again: false }, ...back];
  // Proven after its restart, so that all that is missing is the router.
  const restarted = began('restart') || began('stop');
  if (restarted && provenAfterRestart(instance, ended)) return [{ name: 'admit', instance }];
  if (restarted) return [{ name: 'restart', instance, again: !cancelled && began('restart') }, ...back];
  if (began('drain')) return [{ name: 'admit', instance }];
  if (began('reload')) return did('prove') ? [] : [{ name: 'prove', instance }];
  return [];
}

/** A reload that fell back to a restart may have been proven before it: only the last one counts. */
function provenAfterRestart(instance: InstanceName, ended: readonly ServiceStep[]): boolean {
  const own = ended.filter((step) => 'instance' in step && step.instance === instance).map(({ name }) => name);
  return own.lastIndexOf('prove') > own.lastIndexOf('restart') && own.includes('restart');
}
