import type { FailureClass } from '../failure.ts';
import type { UpdatePlan } from './plan.ts';
import type { Shift, UndoStep, UpdateStep } from './step.ts';

/**
 * Which steps bring the host back, given the steps that were started (the last one may have failed half-way).
 *
 * `current` is put back before any instance is restarted, because an instance starts from it; the instances then follow in reverse
 * order. An instance that was only drained is let back into the router without a restart: in one run each is restarted at most once in
 * each direction. The intent is closed last, when nothing is left to be done.
 *
 * @param started steps in the order in which they were started.
 * @param condemn whether the failure was the release's own fault.
 */
export function planUndo(plan: UpdatePlan, started: readonly UpdateStep[], restoreData: boolean, failureClass: FailureClass): UndoStep[] {
  const from = plan.fromReleaseId;
  const has = (name: UpdateStep['name']) => started.some((step) => step.name === name);
  const steps: UndoStep[] = [];
  const shifts = started.filter((step): step is Shift => step.name === 'shift');
  if (plan.kind === 'promotion' && has('commit')) steps.push({ name: 'reset-phase', phase: plan.phaseBefore });
  if (has('activate')) steps.push(from ? { name: 'reactivate', releaseId: from } : { name: 'deactivate' });
  // Before a first install there was no data, and no backup of it.
  if (restoreData && from !== null && has('migrate')) steps.push({ name: 'restore-data' });

  // Those that served before still run: they take all requests again before one of the others is stopped.
  const shift = shifts.at(-1);
  if (shift) steps.push({ name: 'shift', percent: 100, to: shift.from, from: shift.to });

  // The last touched instance first: its twins still serve.
  const touched = [...new Set(started.flatMap((step) => ('instance' in step ? [step.instance] : [])))].reverse();
  for (const instance of touched) {
    if (from === null || !plan.instancesBefore.includes(instance)) {
      steps.push({ name: 'retire', instance });
      continue;
    }
    const restarted = started.some((step) => (step.name === 'restart' || step.name === 'retire') && step.instance === instance);
    if (restarted) {
      steps.push({ name: 'drain', instance }, { name: 'restart', instance, releaseId: from }, { name: 'prove', instance, releaseId: from });
    }
    steps.push({ name: 'admit', instance });
  }
  // Those that serve again expect what they had: plain HTTP, or the pair from before.
  if (has('serve-certificate')) steps.push({ name: 'restore-certificate' });
  if (has('write-environment')) steps.push({ name: 'restore-environment' });
  if (has('configure')) steps.push({ name: 'unconfigure' });
  if ((has('activate') || shifts.length > 0) && from) steps.push({ name: 'verify-health', releaseId: from });
  if (has('open-intent')) {
    // A release that was active before, and is applied again, must not be thrown away.
    if (has('download') && plan.toReleaseId !== from) steps.push({ name: 'discard', condemn: failureClass === 'release' && has('extract') });
    steps.push({ name: 'close-intent' });
  }
  return steps;
}
