import type { Service } from '../product/manifest.ts';
import type { ServiceStep, ServiceUndoStep } from './step.ts';

const minute = 60_000;

/** How long one attempt of a step may take, in milliseconds: what the manifest allows, and some room for the machine. @param bakeSeconds what holds for this run */
export function serviceStepLimitMs(step: ServiceStep | ServiceUndoStep, service: Service, bakeSeconds: number): number {
  switch (step.name) {
    case 'drain':
      return minute + 1000 * service.drainSeconds;
    case 'stop':
    case 'restart':
      return minute + 1000 * service.stopSeconds;
    case 'retire':
      return minute + 1000 * (service.drainSeconds + service.stopSeconds);
    case 'prove':
      return minute + 1000 * (service.startSeconds + bakeSeconds);
    default:
      return minute;
  }
}
