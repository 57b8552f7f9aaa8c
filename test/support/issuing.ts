import * as fs from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createAcmeIssuer } from '../../src/adapters/certificate-issuer/acme/index.ts';
import { createAcmeSteps } from '../../src/adapters/certificate-issuer/acme/steps.ts';
import type { AcmeIssuerConfiguration, CertificateRequest, Challenge } from '../../src/domain/certificate/request.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import type { CertificateIssuer, OrderProgress, StagedCertificate } from '../../src/ports/certificate-issuer.ts';
import { eventually } from './eventually.ts';
import type { TestPebble } from './pebble.ts';

/** A host's side of issuing: a webroot that is served where pebble asks, the state root's `acme`, and requests. */
export interface IssuingBed {
  readonly directory: string;
  readonly webroot: string;
  request(change?: { readonly names?: readonly string[]; readonly issuer?: Partial<AcmeIssuerConfiguration>; readonly challenge?: Challenge }): Promise<CertificateRequest>;
  /** An issuer whose steps run in this process. @param aheadMs how far its clock is ahead */
  issuer(aheadMs?: number): CertificateIssuer;
  end(): Promise<void>;
}

export async function createIssuingBed(pebble: TestPebble, directoryUrl: () => string = () => pebble.directoryUrl): Promise<IssuingBed> {
  const work = await fs.mkdtemp(join(tmpdir(), 'fairlead-issuing-'));
  const [directory, webroot] = [join(work, 'acme'), join(work, 'webroot')];
  await fs.mkdir(webroot);
  const server = createServer((request, response) => {
    fs.readFile(join(webroot, new URL(request.url ?? '/', 'http://any').pathname)).then(
      (text) => response.end(text),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(pebble.httpPort, '127.0.0.1', () => resolve()));
  return {
    directory,
    webroot,
    async request({ names = ['app.example.org', 'www.example.org'], issuer, challenge } = {}) {
      const rootsFile = join(work, 'roots.pem');
      await fs.writeFile(rootsFile, await pebble.roots());
      const configuration: AcmeIssuerConfiguration = { kind: 'acme', name: 'test', scope: 'public', rootsFile, directoryUrl: directoryUrl(), contact: ['mailto:ops@example.org'], caBundleFile: pebble.caBundleFile, externalAccountBinding: null, profile: null, ...issuer };
      return { certificate: 'app', names, issuer: configuration, challenge: challenge ?? { kind: 'http-01', webroot }, keyType: 'ecdsa-p256' };
    },
    issuer: (aheadMs = 0) => createAcmeIssuer({ directory, commands: createCommandRunner(), steps: createAcmeSteps({ directory, timeoutMs: 20_000, now: () => Date.now() + aheadMs }) }),
    async end() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await fs.rm(work, { recursive: true, force: true });
    },
  };
}

/** The steps in their order, as the workflow takes them. @param between called after each step with its name */
export async function issue(issuer: CertificateIssuer, request: CertificateRequest, current: string | null = null, between: (step: string) => Promise<void> | void = () => undefined): Promise<StagedCertificate> {
  await issuer.order(request, current);
  await between('order');
  await issuer.present(request);
  await between('present');
  await issuer.answer(request);
  await between('answer');
  await pollUntil(issuer, request, ({ status }) => status !== 'pending');
  await between('poll until ready');
  await issuer.cleanup(request);
  await between('cleanup');
  await issuer.finalize(request);
  await between('finalize');
  await pollUntil(issuer, request, ({ status }) => status === 'valid');
  await between('poll until valid');
  const staged = await issuer.download(request);
  await between('download');
  return staged;
}

export const pollUntil = (issuer: CertificateIssuer, request: CertificateRequest, isReached: (progress: OrderProgress) => boolean): Promise<OrderProgress> =>
  eventually('the order goes on', async () => {
    const progress = await issuer.poll(request).catch((error: unknown) => (error instanceof FairleadError ? error : Promise.reject(error)));
    // What the CA refused does not become better by waiting.
    if (progress instanceof FairleadError) return Promise.resolve({ failed: progress });
    return isReached(progress) ? { progress } : null;
  }, 60_000).then((end) => ('failed' in end ? Promise.reject(end.failed) : end.progress));

/** The code of the FairleadError that a step is expected to throw, with the rest of its reason. */
export async function reasonOf(step: Promise<unknown>): Promise<FairleadError['reason'] & { readonly retryable: boolean }> {
  try {
    await step;
  } catch (error) {
    if (error instanceof FairleadError) return { ...error.reason, retryable: error.retryable };
    throw error;
  }
  throw new Error('the step succeeded');
}
