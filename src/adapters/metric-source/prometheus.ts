import { z } from 'zod';
import { FairleadError } from '../../domain/failure.ts';
import type { MetricSource } from '../../ports/metric-source.ts';
import { createOutgoingGet, type OutgoingGet } from '../outgoing/get.ts';

const timeoutMs = 5_000;
const sample = z.tuple([z.number(), z.string()]);
/** https://prometheus.io/docs/prometheus/latest/querying/api/ */
const answer = z.object({
  status: z.literal('success'),
  data: z.union([z.object({ resultType: z.literal('vector'), result: z.array(z.object({ value: sample })) }), z.object({ resultType: z.literal('scalar'), result: sample })]),
});

export function createPrometheusSource(get: OutgoingGet = createOutgoingGet()): MetricSource {
  return {
    async query(url, query, cancel) {
      try {
        const target = new URL(`${url.replace(/\/$/, '')}/api/v1/query`);
        target.searchParams.set('query', query);
        const { text: body } = await get(target, { timeoutMs, cancel });
        const parsed = answer.safeParse(JSON.parse(body));
        if (!parsed.success) return { value: null, why: `${target.origin} answered something else than a Prometheus server's one value` };
        const { data } = parsed.data;
        const text = data.resultType === 'scalar' ? data.result[1] : data.result.length === 1 ? data.result[0]?.value[1] : undefined;
        const value = Number(text ?? Number.NaN);
        return { value: Number.isFinite(value) ? value : null, why: null };
      } catch (error) {
        cancel.throwIfAborted();
        const said = error instanceof Error ? error.message : String(error);
        return { value: null, why: `${error instanceof FairleadError && error.reason.code === 'outgoing_refused' ? 'address refused' : 'no answer'}: ${said}` };
      }
    },
  };
}
