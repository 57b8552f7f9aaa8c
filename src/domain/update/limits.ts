import type { ProductManifest } from '../product/manifest.ts';
import { findInstance } from '../product/manifest.ts';
import type { UndoStep, UpdateStep } from './step.ts';

const minute = 60_000;

/** How long one attempt of a step may take, in milliseconds: what the manifest allows, and some room for the machine. */
export function stepLimitMs(step: UpdateStep | UndoStep, manifest: ProductManifest, bakeSeconds: number | null): number {
  const service = 'instance' in step ? findInstance(manifest, step.instance)?.service : undefined;
  switch (step.name) {
    case 'download':
      return 60 * minute;
    case 'verify':
    case 'extract':
    case 'discard':
    case 'prune':
      return 15 * minute;
    case 'preflight':
      return minute + 1000 * (manifest.hooks.preflight?.timeoutSeconds ?? 0);
    case 'backup':
      return 30 * minute + 1000 * (manifest.hooks.backup?.timeoutSeconds ?? 0);
    case 'migrate':
      return minute + 1000 * (manifest.hooks.migrate?.timeoutSeconds ?? 0);
    case 'restore-data':
      return 30 * minute + 1000 * (manifest.hooks.restore?.timeoutSeconds ?? 0);
    case 'drain':
      return minute + 1000 * (service?.drainSeconds ?? 30);
    case 'restart':
      return minute + 1000 * (service?.stopSeconds ?? 30);
    case 'retire':
      return minute + 1000 * ((service?.drainSeconds ?? 30) + (service?.stopSeconds ?? 30));
    case 'hold':
      return 5 * minute;
    case 'prove':
      return minute + 1000 * ((service?.startSeconds ?? 60) + (bakeSeconds ?? manifest.bakeSeconds));
    default:
      return minute;
  }
}
