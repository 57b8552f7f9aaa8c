import { messagesOf } from '../../domain/failure.ts';
import { methodLabel } from '../../domain/gateway/methods.ts';
import type { RefusalCode } from '../../domain/gateway/policy.ts';
import type { HostId } from '../../domain/ids.ts';
import type { AuditLog } from '../../ports/control-stores.ts';
import type { GatewayFigures } from '../../ports/gateway-figures.ts';

export interface Refusal {
  readonly path: string;
  readonly code: RefusalCode;
  /** Null where the caller did not show who it is. */
  readonly host: HostId | null;
  /** Address of the caller. */
  readonly peer: string;
}

interface Pending {
  count: number;
  first: Refusal & { readonly at: string };
  codes: Set<RefusalCode>;
  timer: NodeJS.Timeout | null;
}

export interface RefusalOptions {
  readonly audit: Pick<AuditLog, 'append'>;
  readonly logger: { warn(fields: object, message: string): void };
  /** How long refusals of one host and method are gathered before the next row. Default: a minute. */
  readonly gatherMs?: number;
}

/**
 * Counts refused calls, and audits them without letting the caller write the audit full: the first one of a host and method at once, what follows within a
 * minute in one row with its count. Rows that the store did not take are offered again with the next.
 */
export function createRefusals({ audit, logger, gatherMs = 60_000 }: RefusalOptions) {
  const counts = new Map<string, { readonly method: string; readonly code: string; count: number }>();
  const pending = new Map<string, Pending>();

  function count(method: string, code: string): void {
    const counted = counts.get(`${method} ${code}`) ?? { method, code, count: 0 };
    counted.count += 1;
    counts.set(`${method} ${code}`, counted);
  }

  async function write(key: string, gathered: Pending): Promise<void> {
    const { count: written, first, codes } = gathered;
    const method = methodLabel(first.path);
    const subject = first.host === null ? 'gateway' : `host/${first.host}`;
    const detail = { method, path: first.path.slice(0, 200), codes: [...codes].sort(), count: written, since: first.at, peer: first.peer };
    gathered.count = 0;
    gathered.codes = new Set();
    try {
      await audit.append({ at: new Date().toISOString(), event: 'gateway.refused', actor: first.host === null ? 'unknown' : `agent@${first.host}`, subject, runId: null, detail });
    } catch (error) {
      logger.warn({ host: first.host, method, count: written, error: messagesOf(error).join(': ') }, 'a refusal could not be audited; it will be offered again');
      gathered.count += written;
      for (const code of codes) gathered.codes.add(code);
    }
    if (pending.get(key) !== gathered) return;
    gathered.timer = setTimeout(() => {
      gathered.timer = null;
      if (gathered.count > 0) void write(key, gathered);
      else pending.delete(key);
    }, gatherMs);
    gathered.timer.unref();
  }

  return {
    note(refusal: Refusal): void {
      const method = methodLabel(refusal.path);
      count(method, refusal.code);
      const key = `${refusal.host ?? ''} ${method}`;
      const first = { ...refusal, at: new Date().toISOString() };
      const gathered = pending.get(key);
      if (gathered !== undefined) {
        if (gathered.count === 0) gathered.first = first;
        gathered.count += 1;
        gathered.codes.add(refusal.code);
        return;
      }
      const begun: Pending = { count: 1, first, codes: new Set([refusal.code]), timer: null };
      pending.set(key, begun);
      void write(key, begun);
    },
    counts: (): GatewayFigures['refused'] => [...counts.values()].map((counted) => ({ ...counted })),
    /** Writes what is gathered. */
    async end(): Promise<void> {
      const left = [...pending];
      pending.clear();
      for (const [key, gathered] of left) {
        if (gathered.timer !== null) clearTimeout(gathered.timer);
        if (gathered.count > 0) await write(key, gathered);
      }
    },
  };
}
export type Refusals = ReturnType<typeof createRefusals>;
