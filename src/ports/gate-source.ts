import type { GateVerdict } from '../domain/rollout/gate.ts';

/** A service outside of Fairlead that says whether a rollout may go on. */
export interface GateSource {
  /**
   * Asks by `GET`. Status 200 with the JSON `{"verdict": "pass" | "fail" | "wait", "note": "…"}` is an answer; everything else, and no answer within 10 s, is no
   * data, which is neither pass nor fail.
   */
  ask(url: string, cancel: AbortSignal): Promise<{ readonly verdict: GateVerdict; readonly note: string }>;
}
