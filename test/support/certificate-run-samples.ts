import type { PairFacts } from '../../src/domain/certificate/pair.ts';
import type { CertificateLook } from '../../src/domain/certificate/look.ts';
import type { CertificateRunEvent, CertificateRunState } from '../../src/domain/certificate/state.ts';
import type { CertificateRunRequest } from '../../src/domain/certificate/wish.ts';
import type { CertificateVersion, HostId, ProductName, ReleaseId } from '../../src/domain/ids.ts';
import { sampleReason } from './update-samples.ts';

/** One state and one event of each kind, for walking every pair: by the tests, and by the page that shows the machine. */
const issued = { serial: '0a', notAfter: '2027-02-01T00:00:00.000Z' };
const until = '2026-11-01T01:00:00.000Z';

export const sampleCertificateStates: { readonly [Phase in CertificateRunState['phase']]: Extract<CertificateRunState, { phase: Phase }> } = {
  Requested: { phase: 'Requested' },
  Ordering: { phase: 'Ordering', failures: 0 },
  Delayed: { phase: 'Delayed', failures: 1, reason: sampleReason, until },
  Issued: { phase: 'Issued', issued },
  Taken: { phase: 'Taken', issued },
  Switching: { phase: 'Switching', issued },
  Undoing: { phase: 'Undoing', touched: true, cancelled: false, failedStep: 'reload', reason: sampleReason, undone: [] },
  Succeeded: { phase: 'Succeeded', issued },
  Unchanged: { phase: 'Unchanged' },
  Refused: { phase: 'Refused', reason: sampleReason },
  RolledBack: { phase: 'RolledBack', reason: sampleReason },
  Cancelled: { phase: 'Cancelled', reason: sampleReason },
  Stranded: { phase: 'Stranded', failedStep: 'reload', reason: sampleReason, stuckAt: 'prove', stuckReason: sampleReason, undone: ['restore'] },
};

export const sampleCertificateEvents: { readonly [Type in CertificateRunEvent['type']]: Extract<CertificateRunEvent, { type: Type }> } = {
  RenewalDue: { type: 'RenewalDue' },
  NothingDue: { type: 'NothingDue' },
  PreconditionFailed: { type: 'PreconditionFailed', reason: sampleReason },
  TryFailed: { type: 'TryFailed', reason: sampleReason, until },
  DelayEnded: { type: 'DelayEnded' },
  CertificateIssued: { type: 'CertificateIssued', issued },
  HostTaken: { type: 'HostTaken' },
  SwitchBegun: { type: 'SwitchBegun' },
  CertificateCommitted: { type: 'CertificateCommitted' },
  StepFailed: { type: 'StepFailed', step: 'reload', reason: sampleReason },
  CancelRequested: { type: 'CancelRequested', step: 'reload', reason: sampleReason },
  UndoStepDone: { type: 'UndoStepDone', step: 'restore' },
  UndoStuck: { type: 'UndoStuck', step: 'prove', reason: sampleReason },
  HostRestored: { type: 'HostRestored' },
};

export const samplePair: PairFacts = {
  version: '0123456789abcdef' as CertificateVersion,
  subject: 'CN=app.example.org',
  issuer: 'CN=Some CA',
  notBefore: '2026-09-01T00:00:00.000Z',
  notAfter: '2026-11-30T00:00:00.000Z',
  fingerprintSha256: 'aa'.repeat(32),
  signedByNext: true,
  names: ['app.example.org'],
  serial: '0a',
  publicKeySha256: 'bb'.repeat(32),
  keyMatches: true,
  chain: [],
  anchor: null,
};

/** A host whose certificate is renewed from 31 October on, looked at on 1 October. */
export const sampleLook = (change: Partial<CertificateLook> = {}): CertificateLook => ({
  product: 'shop' as ProductName,
  activeReleaseId: 'r1' as ReleaseId,
  isDeclared: true,
  stranded: null,
  facts: samplePair,
  plan: { at: '2026-10-31T00:00:00.000Z', because: 'one_third_left', window: null, refused: null, askAgainAt: '2026-10-01T06:00:00.000Z' },
  lookedAt: '2026-10-01T00:00:00.000Z',
  ...change,
});

export const sampleCertificateRequest = (change: Partial<CertificateRunRequest> = {}): CertificateRunRequest => ({
  action: 'renew',
  host: 'h1' as HostId,
  product: 'shop' as ProductName,
  releaseId: 'r1' as ReleaseId,
  wish: { names: ['app.example.org'], issuer: { kind: 'directory', name: 'company', scope: 'public', rootsFile: null, directory: '/srv/certificates' }, challenge: { kind: 'none' }, keyType: 'ecdsa-p256' },
  originPort: null,
  force: false,
  requestedBy: 'somebody',
  requestId: 'q1',
  ...change,
});
