/** A limit of so many tokens per minute, of which a fifth may be taken at once (at least `least`). */
export interface RateLimit {
  readonly perMinute: number;
  readonly burst: number;
}

export const rateLimit = (perMinute: number, least = 1): RateLimit => ({ perMinute, burst: Math.max(least, Math.ceil(perMinute / 5)) });

/** Tokens that were left at an instant. Milliseconds of any clock that does not go back. */
export interface TokenBucket {
  readonly tokens: number;
  readonly at: number;
}

export const fullBucket = ({ burst }: RateLimit, now: number): TokenBucket => ({ tokens: burst, at: now });

/** How full a bucket is now. */
export const refilled = (bucket: TokenBucket, { perMinute, burst }: RateLimit, now: number): TokenBucket => ({ tokens: Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) * perMinute) / 60_000), at: now });

/** Takes a token. `waitMs` is null where there was one, else how long it takes until there is. */
export function take(bucket: TokenBucket, limit: RateLimit, now: number): { readonly bucket: TokenBucket; readonly waitMs: number | null } {
  const full = refilled(bucket, limit, now);
  if (full.tokens >= 1) return { bucket: { tokens: full.tokens - 1, at: now }, waitMs: null };
  return { bucket: full, waitMs: Math.ceil(((1 - full.tokens) * 60_000) / limit.perMinute) };
}
