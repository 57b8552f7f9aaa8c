import type { CertificateRequest } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { CertificateIssuer } from '../../../ports/certificate-issuer.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import { orderFiles } from '../order-file.ts';
import { dropStaged } from '../staging.ts';
import { cleanupChallenge, presentChallenge } from './challenge.ts';
import type { AcmeRequest, AcmeSteps } from './steps.ts';
import { createAcmeProcesses } from './process.ts';

export interface AcmeIssuerOptions {
  /** The state root's `acme`, absolute. */
  readonly directory: string;
  readonly commands: CommandRunner;
  /** For one request to the CA, in milliseconds. */
  readonly timeoutMs?: number;
  /** Takes the steps that need the CA: each in a process, unless a test gives something else. */
  readonly steps?: AcmeSteps;
}

/** Gets certificates from a CA that speaks ACME (RFC 8555), with renewal information (RFC 9773) and profiles where it offers them. */
export function createAcmeIssuer({ directory, commands, timeoutMs = 30_000, steps = createAcmeProcesses({ directory, commands, timeoutMs }) }: AcmeIssuerOptions): CertificateIssuer {
  const asked = (request: CertificateRequest): AcmeRequest => {
    if (request.issuer.kind === 'acme') return request as AcmeRequest;
    throw new FairleadError({ class: 'request', code: 'issuer_kind_wrong', message: `${request.issuer.name} is of kind ${request.issuer.kind}; ACME was to be spoken with it.` });
  };
  return {
    kind: 'acme',
    async renewalInformation(request, certificate) {
      try {
        return await steps.renewalInformation(asked(request), certificate);
      } catch {
        // RFC 9773, 4.3: whatever is wrong, the client goes by its own schedule and asks again later.
        return null;
      }
    },
    order: async (request, current) => steps.order(asked(request), current),
    async present(request) {
      const challenges = await steps.challenges(asked(request));
      for (const challenge of challenges) await presentChallenge(commands, request.challenge, challenge);
      return challenges.map(({ name, kind }) => ({ name, kind }));
    },
    answer: async (request) => steps.answer(asked(request)),
    poll: async (request) => steps.poll(asked(request)),
    async cleanup(request) {
      const files = orderFiles(directory, request.certificate);
      const order = await files.read();
      if (order === null || order.challenges.length === 0) return;
      for (const challenge of order.challenges) await cleanupChallenge(commands, request.challenge, challenge);
      await files.write({ ...order, challenges: [] });
    },
    finalize: async (request) => steps.finalize(asked(request)),
    download: async (request) => steps.download(asked(request)),
    async forget(request) {
      await dropStaged(directory, request.certificate);
      await orderFiles(directory, request.certificate).remove();
    },
  };
}
