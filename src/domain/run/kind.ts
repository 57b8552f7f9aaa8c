/**
 * What a run is for. `update-apply`: another release. `promotion`: from the setup phase to the installed one. `restart`: instances of a service, by
 * reload or by restart. `scale`: an instance added to a service, or taken away.
 */
export const runKinds = ['update-apply', 'promotion', 'restart', 'scale'] as const;
export type RunKind = (typeof runKinds)[number];
