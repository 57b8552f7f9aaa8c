import { createHash } from 'node:crypto';
import { fullBucket, rateLimit, refilled, take, type RateLimit, type TokenBucket } from '../domain/access/token-bucket.ts';
import { FairleadError } from '../domain/failure.ts';

/** Requests per minute; a fifth of that may come at once. Null is no limit. */
export interface RateLimitSettings {
  readonly perKey: number | null;
  readonly perAddress: number | null;
  /** Failed authentications; of an address, and of keys that begin alike. */
  readonly failures: number | null;
}

/** Room for 1,000 hosts behind one address: 67 words a second over HTTP, and all of them connecting and downloading at once. */
export const defaultRateLimits: RateLimitSettings = { perKey: 3_000, perAddress: 60_000, failures: 30 };

/** @throws FairleadError `rate_limited` */
export interface RateLimits {
  address(address: string): void;
  key(id: string): void;
  /** Refuses who has failed too often to try another key. A text that was good here within an hour is let through, whatever others tried from the same address. */
  beforeLookup(address: string, text: string | null): void;
  failed(address: string, text: string | null): void;
  succeeded(text: string): void;
}

/** The caller asked too much; @param retryAfterSeconds when there is room again */
export class RateLimited extends FairleadError {
  readonly retryAfterSeconds: number;

  constructor(what: string, { perMinute }: RateLimit, waitMs: number) {
    const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
    super({ class: 'request', code: 'rate_limited', message: `Too much was asked in a short time: ${what} ${perMinute} times a minute.`, hint: `Ask again in ${seconds} s. The limits are settings of the API (api.rateLimit…).` }, { retryable: true });
    this.retryAfterSeconds = seconds;
  }
}

const mostBuckets = 50_000;
const goodMs = 3_600_000;

/**
 * Token buckets in the memory of this copy of the API: `copies` copies allow as much more. What nobody touched for longest is forgotten where there are too many, and so is full again.
 */
export function createRateLimits({ perKey, perAddress, failures }: RateLimitSettings = defaultRateLimits, now: () => number = () => performance.now()): RateLimits {
  const keys = bucketsOf(perKey, 1, now);
  const addresses = bucketsOf(perAddress, 1, now);
  const failed = bucketsOf(failures, 10, now);
  const good = new Map<string, number>();
  const digestOf = (text: string): string => createHash('sha256').update(text, 'utf8').digest('base64');
  /** What is shown of a key may be known: guesses that begin with it are counted together, from wherever they come. */
  const startOf = (text: string): string | null => /^fl_[a-z]+_.{4}/.exec(text)?.[0] ?? null;

  return {
    address: (address) => addresses.demand(address, `address ${address} may ask`),
    key: (id) => keys.demand(id, 'a key may ask'),
    beforeLookup(address, text) {
      if (text !== null && now() - (good.get(digestOf(text)) ?? Number.NEGATIVE_INFINITY) < goodMs) return;
      failed.demandLeft(`address ${address}`, `address ${address} may fail to authenticate`);
      const start = text === null ? null : startOf(text);
      if (start !== null) failed.demandLeft(`key ${start}`, 'keys that begin alike may fail to authenticate');
    },
    failed(address, text) {
      failed.spend(`address ${address}`);
      const start = text === null ? null : startOf(text);
      if (start !== null) failed.spend(`key ${start}`);
    },
    succeeded(text) {
      keep(good, digestOf(text), now());
    },
  };
}

function bucketsOf(perMinute: number | null, least: number, now: () => number): { demand(name: string, what: string): void; demandLeft(name: string, what: string): void; spend(name: string): void } {
  const nothing = () => undefined;
  if (perMinute === null) return { demand: nothing, demandLeft: nothing, spend: nothing };
  const limit = rateLimit(perMinute, least);
  const buckets = new Map<string, TokenBucket>();
  const spend = (name: string): number | null => {
    const { bucket, waitMs } = take(buckets.get(name) ?? fullBucket(limit, now()), limit, now());
    keep(buckets, name, bucket);
    return waitMs;
  };
  return {
    demand(name, what) {
      const waitMs = spend(name);
      if (waitMs !== null) throw new RateLimited(what, limit, waitMs);
    },
    demandLeft(name, what) {
      const bucket = buckets.get(name);
      if (bucket === undefined || refilled(bucket, limit, now()).tokens >= 1) return;
      throw new RateLimited(what, limit, take(bucket, limit, now()).waitMs ?? 0);
    },
    spend: (name) => void spend(name),
  };
}

/** Last touched comes last; the first go where there are too many. */
function keep<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name);
  map.set(name, value);
  for (const [oldest] of map) {
    if (map.size <= mostBuckets) break;
    map.delete(oldest);
  }
}
