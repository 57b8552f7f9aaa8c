import { z } from 'zod';
import { FairleadError } from '../../domain/failure.ts';
import type { SetupStatus } from '../../domain/promotion/setup.ts';
import type { SetupSource } from '../../ports/setup-source.ts';

const maxBytes = 64 * 1024;

const setupStatus = z.object({
  complete: z.boolean(),
  missing: z.array(z.string()).default([]),
  publicOrigin: z.string().nullable().default(null),
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
});

/** Reads the status from the instance itself, on loopback: what it says may hold secrets, and passes no router. */
export function createHttpSetupSource(): SetupSource {
  return {
    async read(port, path, timeoutMs, cancel): Promise<SetupStatus> {
      const url = `http://127.0.0.1:${port}${path}`;
      let text: string;
      try {
        const response = await fetch(url, { headers: { accept: 'application/json', connection: 'close' }, redirect: 'error', signal: AbortSignal.any([cancel, AbortSignal.timeout(timeoutMs)]) });
        text = await response.text();
        if (response.status !== 200) throw new Error(`it answered ${response.status}`);
      } catch (error) {
        cancel.throwIfAborted();
        throw new FairleadError(
          { class: 'host', code: 'setup_unreachable', message: `The setup API at ${url} did not say how far the set-up is within ${timeoutMs} ms: ${error instanceof Error ? error.message : String(error)}`, hint: 'See that the setup instance runs, and that setup.path in fairlead.yaml is right.' },
          { cause: error, retryable: true },
        );
      }
      // The values are not shown: they may be secrets.
      const invalid = (what: string): FairleadError =>
        new FairleadError({ class: 'release', code: 'setup_status_invalid', message: `The setup API at ${url} answered something else than the contract says: ${what}`, hint: 'It must answer JSON: complete (true or false), missing (a list of texts), and perhaps publicOrigin and environment.' });
      if (text.length > maxBytes) throw invalid(`${text.length} bytes, at most ${maxBytes} are read`);
      let body: unknown;
      try {
        body = JSON.parse(text);
      } catch {
        throw invalid('no JSON');
      }
      const parsed = setupStatus.safeParse(body);
      if (!parsed.success) throw invalid(parsed.error.issues.map(({ path: at, message }) => `${at.join('.') || 'the answer'}: ${message}`).join('; '));
      return parsed.data;
    },
  };
}
