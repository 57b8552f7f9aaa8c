import type { Api } from './api.ts';

const bucketsSeconds = [0.005, 0.025, 0.1, 0.5, 2.5, 10] as const;

export interface Sample {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly values: readonly { readonly suffix?: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

export interface RequestMetrics {
  samples(): Sample[];
}

/** Counts every request by route, never by path: a path holds ids, and each would be a series of its own. */
export function countRequests(app: Api): RequestMetrics {
  const requests = new Map<string, { labels: Record<string, string>; count: number }>();
  const durations = new Map<string, { labels: Record<string, string>; buckets: number[]; sum: number; count: number }>();
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    const counted = getOrMake(requests, JSON.stringify(labels), () => ({ labels, count: 0 }));
    counted.count += 1;
    const seconds = reply.elapsedTime / 1000;
    const timed = getOrMake(durations, `${request.method} ${route}`, () => ({ labels: { method: request.method, route }, buckets: bucketsSeconds.map(() => 0), sum: 0, count: 0 }));
    timed.sum += seconds;
    timed.count += 1;
    for (const [index, bound] of bucketsSeconds.entries()) if (seconds <= bound) timed.buckets[index] = (timed.buckets[index] ?? 0) + 1;
  });
  return {
    samples: () => [
      { name: 'fairlead_http_requests_total', type: 'counter', help: 'Requests answered.', values: [...requests.values()].map(({ labels, count }) => ({ labels, value: count })) },
      {
        name: 'fairlead_http_request_duration_seconds',
        type: 'histogram',
        help: 'Time from the request to the end of its answer.',
        values: [...durations.values()].flatMap(({ labels, buckets, sum, count }) => [
          ...bucketsSeconds.map((bound, index) => ({ suffix: '_bucket', labels: { ...labels, le: String(bound) }, value: buckets[index] ?? 0 })),
          { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: count },
          { suffix: '_sum', labels, value: sum },
          { suffix: '_count', labels, value: count },
        ]),
      },
    ],
  };
}

function getOrMake<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

/** The text format of Prometheus, version 0.0.4. */
export function renderSamples(samples: readonly Sample[]): string {
  return samples
    .map(({ name, type, help, values }) => {
      const lines = values.map(({ suffix = '', labels, value }) => `${name}${suffix}${renderLabels(labels)} ${value}`);
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n');
    })
    .join('');
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
