import type { InstanceName } from '../../../../src/domain/ids.ts';
import type { CanaryDeclaration } from '../../../../src/domain/product/manifest.ts';
import { judgeTier, type InstanceTraffic } from '../../../../src/domain/update/gate.ts';

const gate: CanaryDeclaration = { tiers: [10], holdSeconds: 60, minRequests: 20, dataWaitSeconds: 60, maxErrorRate: 0.01, maxLatencyRatio: 2, metric: null };
const withMetric = { ...gate, metric: { url: 'http://127.0.0.1:9090', query: 'errors', max: 5 } };
const to = ['api-a-green', 'api-b-green'] as InstanceName[];
const seen = (instance: string, requests: number, errors = 0, p95Ms: number | null = 20): InstanceTraffic => ({ instance: instance as InstanceName, requests, errors, p95Ms });
const old = seen('api-a', 1000);
const judge = (traffic: readonly InstanceTraffic[] | null, declared = gate, metric: number | null = null) => judgeTier({ traffic, metric }, to, declared);

describe('what a tier is judged by', () => {
  test.each<[string, ReturnType<typeof judge>, string, string | null]>([
    ['the router cannot tell: no data, neither good nor bad', judge(null), 'no_data', null],
    ['too few requests to the new release: no data', judge([old, seen('api-a-green', 19)]), 'no_data', null],
    ['enough, and all well', judge([old, seen('api-a-green', 10), seen('api-b-green', 10)]), 'pass', null],
    ['errors within the limit', judge([old, seen('api-a-green', 200, 2)]), 'pass', null],
    ['errors past the limit', judge([old, seen('api-a-green', 200, 3)]), 'fail', 'canary_errors'],
    ['many errors among few requests: not waited for the rest', judge([old, seen('api-a-green', 5, 4)]), 'fail', 'canary_errors'],
    ['one unlucky request among few: waited for the rest', judge([old, seen('api-a-green', 5, 1)]), 'no_data', null],
    ['errors of the old release are not the new one’s', judge([seen('api-a', 1000, 900), seen('api-a-green', 100)]), 'pass', null],
    ['slower than the ratio allows', judge([old, seen('api-a-green', 100, 0, 41)]), 'fail', 'canary_latency'],
    ['the slowest instance speaks for its release', judge([old, seen('api-a-green', 100, 0, 10), seen('api-b-green', 100, 0, 90)]), 'fail', 'canary_latency'],
    ['a ratio of a few milliseconds is noise', judge([seen('api-a', 1000, 0, 1), seen('api-a-green', 100, 0, 9)]), 'pass', null],
    ['latency is not compared', judge([old, seen('api-a-green', 100, 0, 900)], { ...gate, maxLatencyRatio: null }), 'pass', null],
    ['no request of the old release to compare with', judge([seen('api-a-green', 100, 0, 900)]), 'pass', null],
    ['the query is within its limit', judge([old, seen('api-a-green', 100)], withMetric, 5), 'pass', null],
    ['the query is past its limit', judge([old, seen('api-a-green', 100)], withMetric, 5.1), 'fail', 'canary_metric'],
    ['the query gives nothing: no data', judge([old, seen('api-a-green', 100)], withMetric, null), 'no_data', null],
  ])('%s', (_name, judgement, verdict, code) => {
    expect(judgement).toMatchObject({ verdict, ...(code === null ? {} : { code }) });
  });

  test('the share that was really given is said', () => {
    expect(judge([seen('api-a', 900), seen('api-a-green', 60), seen('api-b-green', 40)]).note).toContain('100 of 1000 requests (10.0 %) went to the new release, 0 failed');
  });
});
