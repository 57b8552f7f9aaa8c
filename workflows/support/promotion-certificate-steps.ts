import { certificateNameOf } from '../../src/domain/certificate/host-name.ts';
import type { PromotionCertificate } from '../../src/domain/promotion/request.ts';
import type { CertificateVersion } from '../../src/domain/ids.ts';
import { obtainCertificate } from './certificate-issuing-steps.ts';
import { controlCalls } from './control-calls.ts';
import { StepFault } from './failures.ts';
import type { StepContext, StepResult } from './update-steps.ts';

/** How long the issuer may take to validate, and then to issue, while the promotion holds the host. Milliseconds. */
const answerWaitMs = 300_000;
const limits = { startToCloseMs: 120_000 };
const fewTries = { ...limits, maximumAttempts: 3 };

const certificateOf = ({ request }: StepContext): PromotionCertificate => {
  if (request.certificate !== undefined) return request.certificate;
  throw new Error('a step about a certificate in a promotion without one');
};
const command = (c: StepContext, direction: 'do' | 'undo') => ({ run: c.run, direction, certificate: certificateNameOf(certificateOf(c).wish.names) }) as const;
const versioned = (c: StepContext, version: CertificateVersion) => ({ ...command(c, 'do'), version, names: certificateOf(c).wish.names });

/** Gets the certificate over the plain HTTP of the setup phase, and stages it. One try: a promotion does not wait for days, and asked again it goes on with the same order. */
export async function obtain(c: StepContext): Promise<StepResult> {
  const { wish, originPort } = certificateOf(c);
  const course = { plan: () => undefined, perform: <Result>(_step: unknown, _title: string, _direction: string, take: () => Promise<Result>) => take(), call: c.call, wait: c.wait };
  const { directory, facts } = await obtainCertificate({ run: c.run, request: { wish, originPort }, course, answerWaitMs });
  const { value: staged } = await c.call('stageCertificate', { ...command(c, 'do'), directory }, 'stage the certificate', limits);
  await c.call('checkCertificate', versioned(c, staged.version), 'check the certificate', limits);
  return { attempts: 1, certificateVersion: staged.version, note: `serial ${facts.serial}, valid until ${facts.notAfter}, by ${wish.issuer.name}` };
}

/** TLS beside plain HTTP, which is not redirected yet; proven on every listener and name. */
export async function serve(c: StepContext): Promise<StepResult> {
  const version = c.certificateVersion;
  if (version === null) throw new StepFault({ class: 'orchestrator', code: 'unexpected_error', message: 'The certificate was not staged before it was to be served.', hint: 'This is a defect of Fairlead: keep the run id.' });
  await c.call('backUpCertificate', command(c, 'do'), 'back the certificate up', limits);
  await c.call('switchCertificate', versioned(c, version), 'switch to the certificate', limits);
  await c.call('testRouter', command(c, 'do'), "test the router's configuration", limits);
  const { value: reloaded } = await c.call('reloadRouter', command(c, 'do'), 'reload the router', fewTries);
  const { value, attempt } = await c.call('proveServed', { ...command(c, 'do'), version, workersBefore: reloaded.workersBefore }, 'prove that it is served', fewTries);
  return { attempts: attempt, note: `served on ${value.served.length} listeners and names` };
}

/** The installed phase is healthy: from here on plain HTTP is redirected, where the manifest wants that. */
export async function commit(c: StepContext): Promise<StepResult> {
  return { attempts: (await c.call('commitCertificate', command(c, 'do'), 'redirect to TLS', limits)).attempt };
}

/** Control knows what is to be renewed, and the order is over. */
export async function keep(c: StepContext): Promise<StepResult> {
  const { wish } = certificateOf(c);
  const { host, product } = c.request;
  await controlCalls.keepCertificateWish({ host, product, wish });
  // The CA is asked when it is to be renewed; where host or CA is away, the next sweep asks.
  const look = await c.call('lookAtCertificate', { product, wish, known: null }, 'look at the certificate', { startToCloseMs: 60_000, maximumAttempts: 5 }).then(
    ({ value }) => value,
    () => null,
  );
  if (look !== null) await controlCalls.noteCertificate({ host, product, look });
  const { attempt } = await c.call('forgetOrder', { run: c.run, direction: 'do', wish }, 'forget the order', limits);
  return { attempts: attempt, note: look === null || look.plan === null ? 'renewed by the schedule' : `renewed from ${look.plan.at} on` };
}

/** The pair from before, or plain HTTP as before, served and proven. */
export async function restore(c: StepContext): Promise<StepResult> {
  const { value: backup, attempt } = await c.call('restoreCertificate', command(c, 'undo'), 'restore the certificate', limits);
  await c.call('reloadRouter', command(c, 'undo'), 'reload the router', limits);
  await c.call('proveServed', { ...command(c, 'undo'), version: backup.version, workersBefore: null }, 'prove what is served', limits);
  return { attempts: attempt, note: backup.version === null ? 'plain HTTP again' : `version ${backup.version} is served` };
}
