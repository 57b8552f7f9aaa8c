/**
 * What a run is for. `update-apply`: another release. `promotion`: from the setup phase to the installed one. `restart`: instances of a service, by
 * reload or by restart. `scale`: an instance added to a service, or taken away. `cert-renewal`: the certificate that a product is served with, the first one or another.
 */
export const runKinds = ['update-apply', 'promotion', 'restart', 'scale', 'cert-renewal'] as const;
export type RunKind = (typeof runKinds)[number];
