/** What a Temporal gateway has done since it was started; of one process. */
export interface GatewayFigures {
  readonly openPolls: number;
  readonly passed: readonly { readonly method: string; readonly count: number }[];
  readonly refused: readonly { readonly method: string; readonly code: string; readonly count: number }[];
}
