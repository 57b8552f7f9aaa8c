import { CancellationScope, patched, sleep } from '@temporalio/workflow';
import type { RunRef } from '../../activities/host/dependencies.ts';
import type { CertificateFacts } from '../../src/domain/certificate/facts.ts';
import type { SealedDelivery } from '../../src/domain/certificate/seal.ts';
import { issuingSteps, openingStep, type IssuingStep } from '../../src/domain/certificate/step.ts';
import type { CertificateRunRequest } from '../../src/domain/certificate/wish.ts';
import type { OrderProgress } from '../../src/ports/certificate-issuer.ts';
import { StepFault } from './failures.ts';
import { createHostCalls, defaultTiming, type RunTiming } from './host-calls.ts';
import { StepStopped, type Course } from './run-course.ts';

/** A pair that was checked, and where it lies on the host. */
export interface ObtainedCertificate {
  readonly directory: string;
  readonly facts: CertificateFacts;
}

export interface IssuingContext {
  readonly run: RunRef;
  readonly request: Pick<CertificateRunRequest, 'wish' | 'originPort'>;
  readonly course: Pick<Course, 'plan' | 'perform' | 'call' | 'wait'>;
  /** How long the issuer may take to validate, and then to issue, until the try counts as failed. Milliseconds. */
  readonly answerWaitMs: number;
}

interface StepResult {
  readonly attempts: number;
  readonly note?: string;
}

// A step of the ACME process may take five minutes, rejected nonces included.
const limits = { startToCloseMs: 360_000, maximumAttempts: 4 };
const firstPollMs = 1_000;
const longestPollMs = 60_000;

/**
 * One try to get a certificate: order, prove the names, finalize, download. Goes on with the order that is under way, so that steps which it has behind it are
 * left out. Nothing that serves is touched. @throws StepStopped
 */
export async function obtainCertificate(c: IssuingContext): Promise<ObtainedCertificate> {
  const { run, request, course } = c;
  const { wish } = request;
  const command = { run, direction: 'do', wish } as const;
  const perform = <Result extends StepResult>(name: IssuingStep['name'], take: () => Promise<Result>) => course.perform({ name }, name, 'do', take);
  const call = async (name: Parameters<Course['call']>[0], title: string): Promise<StepResult> => ({ attempts: (await course.call(name, command as never, title, limits)).attempt });
  course.plan(issuingSteps(request.originPort !== null).length);

  if (request.originPort !== null) {
    await perform('check-origin', async () => {
      const [first = '', ...names] = wish.names.filter((name) => !name.startsWith('*'));
      const input = { run, direction: 'do', origin: `https://${first}`, names, httpPort: wish.challenge.kind === 'http-01' ? request.originPort : null } as const;
      const { value, attempt } = await course.call('checkPublicOrigin', input, 'check-origin', limits);
      return { attempts: attempt, note: value.sights.map(({ name, addresses }) => `${name} leads here by ${addresses.join(', ')}`).join('; ') || 'not looked at from here' };
    });
  }
  let { status } = await perform('order', async () => {
    const { value, attempt } = await course.call('orderCertificate', command, 'order', limits);
    return { attempts: attempt, status: value.status, note: `${value.order ?? wish.issuer.name}: ${value.status}${value.replaces ? ', told as the successor' : ''}` };
  });
  if (status === 'pending') {
    try {
      await perform('present-challenges', async () => {
        const { value, attempt } = await course.call('presentChallenges', command, 'present-challenges', limits);
        return { attempts: attempt, note: value.presented.map(({ name, kind }) => `${name} by ${kind}`).join(', ') || 'proven already' };
      });
      await perform('answer-challenges', () => call('answerChallenges', 'answer-challenges'));
      status = (await perform('await-validation', () => awaitStatus(c, 'validate the names', ({ status: now }) => now !== 'pending'))).status;
    } catch (error) {
      await CancellationScope.nonCancellable(() => perform('remove-challenges', () => call('removeChallenges', 'remove-challenges'))).catch((failed: unknown) => (failed instanceof StepStopped ? undefined : Promise.reject(failed)));
      throw error;
    }
  }
  await perform('remove-challenges', () => call('removeChallenges', 'remove-challenges'));
  if (status === 'ready') {
    status = (await perform('finalize', async () => {
      const { value, attempt } = await course.call('finalizeOrder', command, 'finalize', limits);
      return { attempts: attempt, status: value.status, note: value.status };
    })).status;
  }
  if (status !== 'valid') await perform('await-certificate', () => awaitStatus(c, 'issue', ({ status: now }) => now === 'valid'));
  return perform('download', async () => {
    const { value, attempt } = await course.call('downloadCertificate', command, 'download', limits);
    return { attempts: attempt, ...value, note: `serial ${value.facts.serial}, valid until ${value.facts.notAfter}` };
  });
}

/** In the place of that where another host has got the pair: opens what was sealed for this one. @throws StepStopped */
export async function openDelivered({ run, request, course }: IssuingContext, delivery: SealedDelivery): Promise<ObtainedCertificate> {
  course.plan(1);
  return course.perform(openingStep, openingStep.name, 'do', async () => {
    const { value, attempt } = await course.call('openSealedCertificate', { run, direction: 'do', wish: request.wish, ...delivery }, openingStep.name, limits);
    return { attempts: attempt, ...value, note: `serial ${value.facts.serial}, valid until ${value.facts.notAfter}, sealed by ${delivery.context.from}` };
  });
}

/** What was brought and not taken into use does not stay: the next distribution seals it anew. A host that is away is not waited for; what lies there goes with the next delivery. */
export async function forgetDelivered(run: RunRef, { delivery, wish }: Pick<CertificateRunRequest, 'delivery' | 'wish'>, timing: Partial<RunTiming>): Promise<void> {
  if (delivery === undefined || !patched('forget-delivered')) return;
  const call = createHostCalls(run.host, { ...defaultTiming, ...timing, hostWaitMs: 0 }, () => undefined);
  await call('forgetOrder', { run, direction: 'do', wish }, 'forget what was brought', { startToCloseMs: 60_000, maximumAttempts: 5 }).catch(() => undefined);
}

/** Asks where the order stands until it got somewhere, no more often than the issuer wants to be asked. */
async function awaitStatus({ run, request, course, answerWaitMs }: IssuingContext, what: string, isReached: (progress: OrderProgress) => boolean): Promise<StepResult & { readonly status: OrderProgress['status'] }> {
  const since = Date.now();
  const until = since + answerWaitMs;
  const { name } = request.wish.issuer;
  let attempts = 0;
  try {
    for (let pauseMs = firstPollMs; ; pauseMs = Math.min(2 * pauseMs, longestPollMs)) {
      const { value } = await course.call('pollOrder', { run, direction: 'do', wish: request.wish }, `ask ${name} whether it is done`, limits);
      attempts += 1;
      if (isReached(value)) return { attempts: 1, status: value.status, note: `asked ${attempts === 1 ? 'once' : `${attempts} times`}, ${((Date.now() - since) / 1000).toFixed(1)} s` };
      const said = value.retryAt === null ? 0 : Date.parse(value.retryAt) - Date.now();
      const next = Math.max(pauseMs, Number.isNaN(said) ? 0 : said);
      if (Date.now() + next > until) throw new StepFault({ class: 'dependency', code: 'issuer_too_slow', message: `${name} did not ${what} within ${Math.round(answerWaitMs / 1000)} s.`, hint: 'It is tried again, with the same order.', ...(value.retryAt === null ? {} : { retryAt: value.retryAt }) });
      course.wait({ for: `${name} to ${what}`, since: new Date(since).toISOString(), until: new Date(until).toISOString(), release: `${name}, by answering; or whoever cancels the run` });
      await sleep(next);
    }
  } finally {
    course.wait(null);
  }
}
