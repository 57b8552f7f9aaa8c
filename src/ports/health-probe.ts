import type { Evidence } from '../domain/failure.ts';
import type { ReleaseId } from '../domain/ids.ts';
import type { Probe } from '../domain/product/manifest.ts';

export interface ProbeAnswer {
  readonly passed: boolean;
  /** The release id that the answer named, where the probe declares a field for it. */
  readonly releaseId: ReleaseId | null;
  readonly evidence: Extract<Evidence, { kind: 'probe' }>;
}

export interface HealthProbe {
  /** Asks once, on 127.0.0.1:`port`; with `tlsName` over TLS, by that name. Whether its certificate can be trusted is not judged. Never throws: an error or a time-out is an answer that did not pass. `expectedReleaseId` null accepts any. */
  ask(probe: Probe, target: { readonly name: string; readonly port: number; readonly tlsName?: string }, expectedReleaseId: ReleaseId | null, cancel?: AbortSignal): Promise<ProbeAnswer>;
}
