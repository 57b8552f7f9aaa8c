import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { orderIdentity, type CertificateRequest } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { CertificateIssuer, OrderProgress } from '../../../ports/certificate-issuer.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import { isMissing } from '../../files/durable.ts';
import { readCertificateFacts } from '../facts.ts';
import { orderFiles, type OrderFile } from '../order-file.ts';
import { checkPair, currentOf, dropStaged, readStaged, stagePair, type Pair } from '../staging.ts';
import { certbotEnvironment, certonly, type CertbotRequest } from './commands.ts';
import { certbotFailure } from './parse.ts';

/** Proof, issue and its own hooks, of which one may wait for DNS. */
const limitMs = 600_000;

/**
 * Has the host's certbot get the certificate, with the account and the configuration that it has. Its order is one run of it, in `finalize`: an order is
 * done once the pair below its `live` is another one than it was when the order began, so a step that is repeated after a kill does not issue again.
 */
export function createCertbotIssuer({ directory, commands, now = Date.now }: { readonly directory: string; readonly commands: CommandRunner; readonly now?: () => number }): CertificateIssuer {
  const kept = async (request: CertificateRequest): Promise<OrderFile> => {
    const file = await orderFiles(directory, request.certificate).read();
    if (file !== null && !file.failed) return file;
    throw new FairleadError({ class: 'dependency', code: 'order_missing', message: `There is no order under way for ${request.certificate}.`, hint: 'The next try begins with a new one.' });
  };
  const look = async (request: CertbotRequest, file: OrderFile): Promise<OrderProgress> => {
    const pair = await readLive(request);
    const isNew = pair !== null && fingerprintOf(pair) !== file.order;
    return { status: isNew ? 'valid' : 'ready', order: null, replaces: false, retryAt: null };
  };
  return {
    kind: 'certbot',
    renewalInformation: async () => null,
    async order(request, current) {
      const asked = assertCertbot(request);
      const files = orderFiles(directory, request.certificate);
      const file = await files.read();
      const live = await readLive(asked);
      // What certbot got for the order is in use already: it was not forgotten when it should have been.
      const isSpent = file !== null && live !== null && fingerprintOf(live) !== file.order && fingerprintOf(live) === currentOf(current)?.fingerprintSha256;
      if (file !== null && !file.failed && !isSpent && file.identity === orderIdentity(request)) return look(asked, file);
      await dropStaged(directory, request.certificate);
      const next: OrderFile = { identity: orderIdentity(request), order: live === null ? '' : fingerprintOf(live), replaces: false, current: currentOf(current), failed: false, challenges: [] };
      await files.write(next);
      return look(asked, next);
    },
    present: async () => [],
    answer: async () => undefined,
    poll: async (request) => look(assertCertbot(request), await kept(request)),
    cleanup: async () => undefined,
    async finalize(request) {
      const asked = assertCertbot(request);
      const file = await kept(request);
      const before = await look(asked, file);
      if (before.status === 'valid') return before;
      const result = await commands.run(certonly(asked), { timeoutMs: limitMs, env: certbotEnvironment(asked.issuer), only: { FAIRLEAD_CERTBOT: `${asked.issuer.configDir}/${request.certificate}` } });
      const failure = certbotFailure(result);
      if (failure === null) return look(asked, file);
      // A hook that failed after the issue does not undo it: the next try goes on with what is there, and does not issue again.
      if ((await look(asked, file)).status !== 'valid') await orderFiles(directory, request.certificate).write({ ...file, failed: true });
      throw failure;
    },
    async download(request) {
      const asked = assertCertbot(request);
      const file = await kept(request);
      const pair = await readLive(asked);
      if (pair === null || fingerprintOf(pair) === file.order) throw new FairleadError({ class: 'dependency', code: 'certificate_not_delivered', message: `certbot has no new certificate for ${request.certificate} below ${asked.issuer.configDir}.`, hint: "Look at certbot's log (--logs-dir)." });
      const order = `certbot ${fingerprintOf(pair)}`;
      const staged = await readStaged(directory, request.certificate, order);
      if (staged !== null) return staged;
      try {
        return await stagePair(directory, request.certificate, pair, await checkPair(request, pair, file.current, now()), order);
      } catch (error) {
        if (error instanceof FairleadError) await orderFiles(directory, request.certificate).write({ ...file, failed: true });
        throw error;
      }
    },
    async forget(request) {
      await dropStaged(directory, request.certificate);
      await orderFiles(directory, request.certificate).remove();
    },
  };
}

function assertCertbot(request: CertificateRequest): CertbotRequest {
  if (request.issuer.kind === 'certbot') return request as CertbotRequest;
  throw new FairleadError({ class: 'request', code: 'issuer_kind_wrong', message: `${request.issuer.name} is of kind ${request.issuer.kind}; certbot was to be used.` });
}

/** certbot's present pair of this name; null where it has none. */
async function readLive({ issuer, certificate }: CertbotRequest): Promise<Pair | null> {
  const at = join(issuer.configDir, 'live', certificate);
  try {
    return { key: await readFile(join(at, 'privkey.pem'), 'utf8'), fullchain: await readFile(join(at, 'fullchain.pem'), 'utf8') };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const fingerprintOf = ({ fullchain }: Pair): string => readCertificateFacts(fullchain, []).fingerprintSha256;
