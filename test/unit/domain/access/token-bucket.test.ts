import { fullBucket, rateLimit, take } from '../../../../src/domain/access/token-bucket.ts';

test('a fifth of a minute at once, then one by one as time passes, and never more than a fifth', () => {
  const limit = rateLimit(60);
  let bucket = fullBucket(limit, 0);
  for (let taken = 0; taken < 12; taken += 1) {
    const next = take(bucket, limit, 0);
    expect(next.waitMs).toBeNull();
    bucket = next.bucket;
  }
  expect(take(bucket, limit, 0).waitMs).toBe(1_000);
  expect(take(bucket, limit, 400).waitMs).toBe(600);
  expect(take(bucket, limit, 1_000).waitMs).toBeNull();
  expect(take(bucket, limit, 3_600_000).bucket.tokens).toBe(11);
});

test('a clock that goes back gives nothing and takes nothing', () => {
  const limit = rateLimit(60);
  expect(take({ tokens: 0.5, at: 1_000 }, limit, 0).bucket).toEqual({ tokens: 0.5, at: 0 });
});
