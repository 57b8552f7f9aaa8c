/** What a request with an `Idempotency-Key` is told apart by. */
export interface IdempotencyClaim {
  /** The header's value. Keys of different callers never meet. */
  readonly key: string;
  /** Id of the API key that asks. */
  readonly caller: string;
  /** Digest of method, path and body: a key that comes back with another one is a mistake of the client. */
  readonly fingerprint: string;
}

export interface StoredAnswer {
  readonly status: number;
  readonly body: unknown;
}

export type ClaimResult =
  /** The request is the first of its key and may act. */
  | { readonly state: 'claimed' }
  /** It acted before; this is what it answered. */
  | { readonly state: 'answered'; readonly answer: StoredAnswer }
  /** The same key came with another request. */
  | { readonly state: 'mismatch' }
  /** Another copy of the request is being served at this moment. */
  | { readonly state: 'under_way' };

/** Answers of mutations, kept for 24 hours, so that a client that lost an answer can ask again. */
export interface IdempotencyStore {
  /** A claim that was neither answered nor released for 2 minutes died with its process and may be claimed again. */
  claim(claim: IdempotencyClaim): Promise<ClaimResult>;
  answer(claim: IdempotencyClaim, answer: StoredAnswer): Promise<void>;
  /** Gives the key back: the request changed nothing. */
  release(claim: IdempotencyClaim): Promise<void>;
}
