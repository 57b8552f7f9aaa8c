import { certificateNameOf } from '../../src/domain/certificate/host-name.ts';
import type { CertificateLook } from '../../src/domain/certificate/look.ts';
import type { CertificateFacts } from '../../src/domain/certificate/facts.ts';
import { planRenewal, type RenewalPlan } from '../../src/domain/certificate/renewal.ts';
import type { CertificateRequest } from '../../src/domain/certificate/request.ts';
import type { CertificateWish } from '../../src/domain/certificate/wish.ts';
import type { ProductName } from '../../src/domain/ids.ts';
import type { CertificateIssuer, OrderProgress, PresentedChallenge } from '../../src/ports/certificate-issuer.ts';
import type { Command, HostDependencies } from './dependencies.ts';

export interface IssuingCommand extends Command {
  readonly wish: CertificateWish;
}
export interface LookAtCertificateInput {
  readonly product: ProductName;
  readonly wish: CertificateWish;
  /** What the issuer was last heard to say: it is not asked again before it wants to be. Null asks. */
  readonly known: { readonly serial: string; readonly plan: RenewalPlan } | null;
}

function createIssuingGround({ issuers, router, certificates }: HostDependencies) {
  const activeChain = (product: ProductName, { names }: CertificateWish): Promise<string | null> => certificates.readActive(product, certificateNameOf(names));
  /** The request in the words of the issuer's port: the folder for HTTP-01 is the router's. */
  async function requestOf(product: ProductName, { names, issuer, challenge, keyType }: CertificateWish): Promise<CertificateRequest> {
    return { certificate: certificateNameOf(names), names, issuer, keyType, challenge: challenge.kind === 'http-01' ? { kind: 'http-01', webroot: await router.challengeRoot(product) } : challenge };
  }
  async function ask<Answer>(product: ProductName, wish: CertificateWish, question: (issuer: CertificateIssuer, request: CertificateRequest) => Promise<Answer>): Promise<Answer> {
    const issuer = (await issuers(product))[wish.issuer.kind];
    return question(issuer, await requestOf(product, wish));
  }
  return { ask, activeChain };
}

export function createCertificateLook(dependencies: HostDependencies) {
  const { host, store, releases, certificates, now } = dependencies;
  const { ask, activeChain } = createIssuingGround(dependencies);
  return {
    /** The certificate that is in place, and when it is to be renewed; asks the issuer, at most for as long as one request to it may take. Changes nothing; may be asked at any time. */
    async lookAtCertificate({ product, wish, known }: LookAtCertificateInput): Promise<CertificateLook> {
      const certificate = certificateNameOf(wish.names);
      const [current, intent, { active, versions }] = await Promise.all([releases.current(product), store.readIntent(product), certificates.inspect(product, certificate)]);
      const manifest = current === null ? null : await releases.readManifest(product, current);
      const facts = versions.find(({ version }) => version === active) ?? null;
      const at = now();
      const isFresh = known !== null && facts !== null && known.serial === facts.serial && Date.parse(known.plan.askAgainAt) > at.getTime();
      const plan = isFresh ? known.plan : await planOf(facts, at.getTime());
      return { product, activeReleaseId: current, isDeclared: Boolean(manifest?.router && manifest.certificates), stranded: intent?.stranded ?? null, facts, plan, lookedAt: at.toISOString() };

      async function planOf(of: CertificateFacts | null, nowMs: number): Promise<RenewalPlan | null> {
        if (of === null) return null;
        const chain = await activeChain(product, wish);
        // Who orders it asks when it is renewed.
        const answer = chain === null || wish.orderedBy !== undefined ? null : await ask(product, wish, (issuer, request) => issuer.renewalInformation(request, chain));
        return planRenewal(of, answer, host, nowMs);
      }
    },
  };
}

/** The steps of an issuer, each for itself: what `CertificateIssuer` says of them holds. None of them touches what serves, and no key is in what they take or return. */
export function createIssuingActivities(dependencies: HostDependencies) {
  const { ask, activeChain } = createIssuingGround(dependencies);
  return {
    /** The order that is under way, or a new one, told as the successor of what is in place now. */
    async orderCertificate({ run, wish }: IssuingCommand): Promise<OrderProgress> {
      const current = await activeChain(run.product, wish);
      return ask(run.product, wish, (issuer, request) => issuer.order(request, current));
    },
    async presentChallenges({ run, wish }: IssuingCommand): Promise<{ readonly presented: readonly PresentedChallenge[] }> {
      return { presented: await ask(run.product, wish, (issuer, request) => issuer.present(request)) };
    },
    async answerChallenges({ run, wish }: IssuingCommand): Promise<void> {
      await ask(run.product, wish, (issuer, request) => issuer.answer(request));
    },
    /** Asks once where the order stands. */
    async pollOrder({ run, wish }: IssuingCommand): Promise<OrderProgress> {
      return ask(run.product, wish, (issuer, request) => issuer.poll(request));
    },
    async removeChallenges({ run, wish }: IssuingCommand): Promise<void> {
      await ask(run.product, wish, (issuer, request) => issuer.cleanup(request));
    },
    async finalizeOrder({ run, wish }: IssuingCommand): Promise<OrderProgress> {
      return ask(run.product, wish, (issuer, request) => issuer.finalize(request));
    },
    /** Gets the certificate, checks it, and puts the pair where `stageCertificate` takes it from. */
    async downloadCertificate({ run, wish }: IssuingCommand): Promise<{ readonly directory: string; readonly facts: CertificateFacts }> {
      return ask(run.product, wish, (issuer, request) => issuer.download(request));
    },
    /** The pair is in its place: drops the order and what was staged. */
    async forgetOrder({ run, wish }: IssuingCommand): Promise<void> {
      if (wish.orderedBy !== undefined) return dependencies.seal.forget(run.product, certificateNameOf(wish.names));
      await ask(run.product, wish, (issuer, request) => issuer.forget(request));
    },
  };
}
