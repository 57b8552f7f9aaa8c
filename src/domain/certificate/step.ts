/** The steps of a run that gets a certificate, as data: those that talk to the issuer, which leave the host alone, and those on the host, under its lock. */
export type IssuingStep =
  | { readonly name: 'check-origin' }
  | { readonly name: 'order' }
  | { readonly name: 'present-challenges' }
  | { readonly name: 'answer-challenges' }
  | { readonly name: 'await-validation' }
  | { readonly name: 'remove-challenges' }
  | { readonly name: 'finalize' }
  | { readonly name: 'await-certificate' }
  | { readonly name: 'download' };

/** Instead of those, where another host has got the pair. */
export interface OpeningStep {
  readonly name: 'open-sealed';
}
export const openingStep: OpeningStep = { name: 'open-sealed' };

export type SwitchStep =
  | { readonly name: 'open-intent' }
  | { readonly name: 'stage' }
  | { readonly name: 'check' }
  | { readonly name: 'back-up' }
  | { readonly name: 'arm-recovery' }
  | { readonly name: 'switch' }
  | { readonly name: 'test-router' }
  | { readonly name: 'reload' }
  | { readonly name: 'prove' }
  | { readonly name: 'commit' }
  | { readonly name: 'prune' }
  | { readonly name: 'forget-order' }
  | { readonly name: 'close-intent' };

export type SwitchUndoStep = { readonly name: 'restore' } | { readonly name: 'reload' } | { readonly name: 'prove' } | { readonly name: 'forget-order' } | { readonly name: 'close-intent' };

export const issuingSteps = (withOrigin: boolean): readonly IssuingStep[] => [
  ...(withOrigin ? [{ name: 'check-origin' } as const] : []),
  { name: 'order' },
  { name: 'present-challenges' },
  { name: 'answer-challenges' },
  { name: 'await-validation' },
  { name: 'remove-challenges' },
  { name: 'finalize' },
  { name: 'await-certificate' },
  { name: 'download' },
];

export const switchSteps: readonly SwitchStep[] = (
  ['open-intent', 'stage', 'check', 'back-up', 'arm-recovery', 'switch', 'test-router', 'reload', 'prove', 'commit', 'prune', 'forget-order', 'close-intent'] as const
).map((name) => ({ name }));

/** Steps that change nothing that serves: one that fails leaves the host as it was. */
export const isBeforeSwitch = ({ name }: SwitchStep): boolean => ['open-intent', 'stage', 'check', 'back-up', 'arm-recovery'].includes(name);
/** The new pair is proven and is what a way back would lead to: what is left is tidying, which the next run does as well. */
export const isAfterCommit = ({ name }: SwitchStep): boolean => ['prune', 'forget-order', 'close-intent'].includes(name);
/** From here on a cancel comes too late. */
export const isPastReturn = (step: SwitchStep): boolean => step.name === 'commit' || isAfterCommit(step);

/**
 * Which steps bring the host back, given those that were started; pure. The old pair counts as back only once clients are seen to get it, whatever it
 * was that failed.
 * @param isPairAtFault the new pair did not pass its check: its order goes too, or the next run would take the same pair
 */
export function planSwitchUndo(started: readonly SwitchStep[], isPairAtFault = false): SwitchUndoStep[] {
  const switched = started.some((step) => !isBeforeSwitch(step));
  return [
    ...(switched ? ([{ name: 'restore' }, { name: 'reload' }, { name: 'prove' }] as const) : []),
    ...(isPairAtFault && started.at(-1)?.name === 'check' ? [{ name: 'forget-order' } as const] : []),
    ...(started.some(({ name }) => name === 'open-intent') ? [{ name: 'close-intent' } as const] : []),
  ];
}
