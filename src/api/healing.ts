import type { FastifyBaseLogger } from 'fastify';
import type { HostDetail } from '../contract/index.ts';
import { FairleadError } from '../domain/failure.ts';
import type { Finding } from '../domain/host/drift.ts';
import { decideHealing, healingPauseMs, type HealingDecision, type HealingTry } from '../domain/host/healing.ts';
import type { HostInspection } from '../domain/host/state.ts';
import { hostWorkflowId, type HostId, type RunId } from '../domain/ids.ts';
import type { HostRow } from '../ports/control-stores.ts';
import type { ApiDependencies } from './dependencies.ts';

/** Who asks for a run that nobody asked for. */
export const supervisorName = 'supervisor';

const shownMs = 24 * 3_600_000;

/** What control does with what hosts tell of themselves: the audit of it, and the runs that put it right. */
export function createHealing({ stores, runs }: Pick<ApiDependencies, 'stores' | 'runs'>) {
  function decide(inspection: HostInspection, before: readonly Finding[], tries: readonly HealingTry[]): HealingDecision {
    const { state, intent, drift = [], healing: policy = 'report' } = inspection;
    return decideHealing({ findings: drift, before, policy, history: tries, state, intent }, new Date().toISOString());
  }

  return {
    /**
     * Notes in the audit what is new and what is gone since the host's last word, and what the agent did by itself. Written before the word itself is
     * kept, each under a key of its own: told again after a crash in between, nothing stands there twice.
     *
     * @returns the acts that need not be told again, and the runs that the host waits for in vain
     */
    async note(host: HostId, before: HostRow | null, products: readonly HostInspection[]): Promise<{ acknowledgedActs: string[]; endedRuns: RunId[] }> {
      const acknowledgedActs: string[] = [];
      const endedRuns: RunId[] = [];
      const append = (event: string, product: HostInspection['product'], key: string, detail: Readonly<Record<string, unknown>>) =>
        stores.audit.append({ at: new Date().toISOString(), event, actor: `agent on ${host}`, subject: hostWorkflowId(host, product), runId: null, detail }, `${event}:${host}:${product}:${key}`);
      for (const { product, drift = [], acts = [], intent } of products) {
        const known = driftOf(before, product);
        for (const finding of drift) if (!known.some(isSame(finding))) await append('host.drift_found', product, keyOf(finding), { ...finding });
        for (const finding of known) if (!drift.some(isSame(finding))) await append('host.drift_gone', product, keyOf(finding), { kind: finding.kind, subject: finding.subject, since: finding.since });
        for (const act of acts) {
          const { id, at, act: what, kind, subject, note } = act;
          await append(`host.${what}`, product, id, { at, kind, subject, note });
          await stores.healings.noteAct(host, product, act);
          acknowledgedActs.push(id);
        }
        if (intent !== null && intent.stranded === null) {
          const run = await stores.runs.find(intent.runId);
          if (run !== null && run.host === host && run.endedAt !== null) endedRuns.push(run.runId);
        }
      }
      return { acknowledgedActs, endedRuns };
    },

    /**
     * Starts a run of the active release for each product of the host that is due. Never throws: what did not come about is tried with one of the next
     * words. The lock is the run's own: where another run holds the host, nothing is started and the try does not count.
     */
    async start(host: HostId, before: HostRow | null, products: readonly HostInspection[], log: FastifyBaseLogger): Promise<void> {
      for (const inspection of products) {
        const { product } = inspection;
        try {
          const known = driftOf(before, product);
          // Most hosts have nothing to be put right, and cost no question of the database.
          if (decide(inspection, known, []).start === null) continue;
          const tries = (await stores.healings.list(host, shownMs)).filter((each) => each.product === product);
          const { start } = decide(inspection, known, tries);
          if (start === null) continue;
          const claim = await stores.healings.claim(host, product, start.findings, healingPauseMs);
          if (claim === null) continue;
          await repair({ host, product, claim, ...start }, log);
        } catch (error) {
          log.error({ err: error, host, product }, 'a host could not be repaired');
        }
      }
    },

    /** What was tried on a host, and what becomes of its findings. */
    async show(row: HostRow): Promise<HostDetail['healing']> {
      const tries = await stores.healings.list(row.host, shownMs);
      const verdicts = row.products.flatMap((inspection) =>
        decide(inspection, inspection.drift ?? [], tries.filter(({ product }) => product === inspection.product)).verdicts.map(({ finding, verdict, why }) => ({
          product: inspection.product,
          kind: finding.kind,
          subject: finding.subject,
          verdict,
          why,
        })),
      );
      return { tries: [...tries], verdicts };
    },
  };

  async function repair({ host, product, claim, releaseId, findings }: { host: HostId; product: HostInspection['product']; claim: string } & NonNullable<HealingDecision['start']>, log: FastifyBaseLogger): Promise<void> {
    let started: { readonly runId: RunId; readonly workflowId: string };
    try {
      started = await runs.startUpdate({ host, product, releaseId, strategy: 'rolling', requestedBy: supervisorName, requestId: `heal-${claim}` });
    } catch (error) {
      const passes = error instanceof FairleadError && (error.retryable || error.reason.code === 'run_in_progress');
      if (passes) await stores.healings.withdraw(claim);
      else await stores.healings.failed(claim, error instanceof Error ? error.message : String(error));
      log.warn({ err: error, host, product, releaseId }, 'no run could be started to repair a host');
      return;
    }
    const { runId, workflowId } = started;
    const at = new Date().toISOString();
    await stores.healings.started(claim, runId);
    // From here on the run is durable, and notes itself where this process dies.
    await stores.runs.open({ runId, workflowId, kind: 'update-apply', host, product, toReleaseId: releaseId, requestedBy: supervisorName, requestedAt: at });
    const detail = { releaseId, requestId: `heal-${claim}`, findings: findings.map(({ kind, subject, expected, seen, since }) => ({ kind, subject, expected, seen, since })) };
    await stores.audit.append({ at, event: 'run.requested', actor: supervisorName, subject: workflowId, runId, detail }, `run.requested:${runId}`);
    log.info({ host, product, releaseId, runId, findings: detail.findings }, 'a run was started to repair a host');
  }
}

const driftOf = (row: HostRow | null, product: HostInspection['product']): readonly Finding[] => row?.products.find((each) => each.product === product)?.drift ?? [];
const isSame =
  ({ kind, subject, since }: Finding) =>
  (other: Finding): boolean =>
    other.kind === kind && other.subject === subject && other.since === since;
const keyOf = ({ kind, subject, since }: Finding): string => `${kind}:${subject}:${since}`;
