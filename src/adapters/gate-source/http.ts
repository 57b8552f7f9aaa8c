import { z } from 'zod';
import type { GateSource } from '../../ports/gate-source.ts';
import { createOutgoingGet, type OutgoingGet } from '../outgoing/get.ts';

const timeoutMs = 10_000;
const answer = z.object({ verdict: z.enum(['pass', 'fail', 'wait']), note: z.string().max(500).default('') });

export function createHttpGateSource(get: OutgoingGet = createOutgoingGet()): GateSource {
  return {
    async ask(url, cancel) {
      try {
        const response = await get(url, { timeoutMs, cancel });
        if (response.status !== 200) return { verdict: 'no_data', note: `${url} answered ${response.status}` };
        const parsed = answer.safeParse(JSON.parse(response.text));
        if (!parsed.success) return { verdict: 'no_data', note: `${url} answered something else than {"verdict": "pass" | "fail" | "wait", "note": TEXT}` };
        const { verdict, note } = parsed.data;
        return { verdict: verdict === 'wait' ? 'no_data' : verdict, note: note === '' ? verdict : note };
      } catch (error) {
        cancel.throwIfAborted();
        return { verdict: 'no_data', note: `${url}: ${error instanceof Error ? error.message : String(error)}` };
      }
    },
  };
}
