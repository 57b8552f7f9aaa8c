import type { Reason } from '../../src/domain/failure.ts';
import { hostLayout } from '../../src/domain/host/layout.ts';
import type { CertificateVersion } from '../../src/domain/ids.ts';
import { renderCertificateScript } from '../../src/domain/recovery/certificate-script.ts';
import type { RecoveryRecord } from '../../src/domain/run/report.ts';
import { createCertificateGround, type CertificateCommand } from './certificates.ts';
import type { HostDependencies } from './dependencies.ts';
import { recoveryCommandsFor } from './recovery.ts';

export interface CertificateRecoveryInput extends CertificateCommand {
  readonly failedStep: string;
  readonly stuckAt: string;
  readonly undone: readonly string[];
  readonly reason: Reason;
}

export function createCertificateRecovery(dependencies: HostDependencies) {
  const { root, host, store, releases, certificates, router, now } = dependencies;
  const { stateOf, wantedOf } = createCertificateGround(dependencies);

  async function write(input: CertificateRecoveryInput): Promise<{ readonly record: RecoveryRecord; readonly script: string }> {
    const { run, certificate, reason, failedStep, stuckAt, undone } = input;
    const { product, runId } = run;
    const layout = hostLayout(root, product);
    const backup = await certificates.readBackup(product, certificate, runId);
    const version: CertificateVersion | null = backup === null ? (await certificates.inspect(product, certificate)).active : backup.version;
    const state = await stateOf(product);
    const stateAfter = { ...state, ...(version === null ? { tls: null } : {}), lastRunId: runId, updatedAt: now().toISOString() };
    const active = await releases.current(product);
    const record: RecoveryRecord = {
      schema: 1,
      runId,
      host,
      product,
      backupPath: backup?.path ?? null,
      failedStep,
      // A certificate's run stays on the release that is there.
      attemptedReleaseId: active ?? state.activeReleaseId ?? state.lastGoodReleaseId ?? ('none' as RecoveryRecord['attemptedReleaseId']),
      lastGoodReleaseId: state.lastGoodReleaseId,
      activeReleaseId: active,
      undone,
      stuckAt,
      reason,
      instances: [],
      commands: recoveryCommandsFor(root, product, runId),
    };
    const script = renderCertificateScript({ host, product, runId, certificate, writtenAt: now().toISOString(), layout, backupPath: backup?.path ?? null, version, router: router.recoveryCommands(await wantedOf(product, stateAfter)), stateAfter });
    return { record, script: (await store.writeRecovery(record, script)).script };
  }

  return {
    /** Writes the record and the script of the way back before anything is switched: what to type with nothing but a shell, whatever dies on the way. */
    async armCertificateRecovery(input: CertificateRecoveryInput): Promise<{ readonly script: string }> {
      return { script: (await write(input)).script };
    },

    /** The undo failed as well: the record says where it stuck, and the intent keeps every other run away until a person has decided. */
    async strandCertificate(input: CertificateRecoveryInput): Promise<RecoveryRecord> {
      const { record } = await write(input);
      const intent = await store.readIntent(input.run.product);
      if (intent && intent.runId === input.run.runId && intent.stranded === null) await store.writeIntent({ ...intent, stranded: input.reason });
      return record;
    },
  };
}
