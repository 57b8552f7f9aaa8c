import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import acme from 'acme-client';
import { readRetryAfter } from '../../../domain/certificate/backoff.ts';
import type { RenewalInformation } from '../../../domain/certificate/renewal.ts';
import { orderIdentity, type AcmeIssuerConfiguration, type CertificateRequest } from '../../../domain/certificate/request.ts';
import { FairleadError } from '../../../domain/failure.ts';
import type { OrderProgress, StagedCertificate } from '../../../ports/certificate-issuer.ts';
import { orderFiles, type NotedChallenge, type OrderFile } from '../order-file.ts';
import { checkPair, currentOf, dropStaged, isInUse, readStaged, stagePair } from '../staging.ts';
import { withAccount, type AcmeContext } from './account.ts';
import { askRenewalInformation, certificateIdOf } from './ari.ts';
import { createAcmeClient, type AcmeClient } from './client.ts';
import { asOrder, authorizationsOf, challengeFor, failureOf, type AcmeOrder } from './order.ts';
import { AcmeProblem } from './problem.ts';
import { createAcmeTransport, invalid, type AcmeResponse } from './transport.ts';

export type AcmeRequest = CertificateRequest & { readonly issuer: AcmeIssuerConfiguration };

/** The parts of the port that need the CA. They run in a process of their own (`process.ts`), so all that crosses is data. */
export interface AcmeSteps {
  renewalInformation(request: AcmeRequest, certificate: string): Promise<RenewalInformation | null>;
  order(request: AcmeRequest, current: string | null): Promise<OrderProgress>;
  /** The challenges that still have to be met, noted in the order's file. */
  challenges(request: AcmeRequest): Promise<readonly NotedChallenge[]>;
  answer(request: AcmeRequest): Promise<void>;
  poll(request: AcmeRequest): Promise<OrderProgress>;
  finalize(request: AcmeRequest): Promise<OrderProgress>;
  download(request: AcmeRequest): Promise<StagedCertificate>;
}

export function createAcmeSteps(context: AcmeContext): AcmeSteps {
  const { directory, now } = context;

  /** The order that the file names. @throws FairleadError `order_missing` where there is none: `order` makes one */
  const kept = async (request: AcmeRequest): Promise<OrderFile> => {
    const file = await orderFiles(directory, request.certificate).read();
    if (file !== null && !file.failed && file.identity === orderIdentity(request)) return file;
    throw new FairleadError({ class: 'dependency', code: 'order_missing', message: `There is no order under way for ${request.certificate}.`, hint: 'The next try begins with a new one.' });
  };

  const look = async (client: AcmeClient, file: OrderFile): Promise<{ order: AcmeOrder; progress: OrderProgress }> => progressOf(file, await client.post(file.order, null, 'look at the order'));

  const progressOf = (file: Pick<OrderFile, 'order' | 'replaces'>, response: AcmeResponse): { order: AcmeOrder; progress: OrderProgress } => {
    const order = asOrder(response.data);
    const wait = readRetryAfter(response.headers['retry-after'], now());
    // What became invalid is told as a failure by those who ask for progress.
    const status = order.status === 'invalid' ? 'pending' : order.status;
    return { order, progress: { status, order: file.order, replaces: file.replaces, retryAt: wait === null ? null : new Date(now() + wait).toISOString() } };
  };

  /** The next `order` begins anew; what was presented is still known, so that it can be taken away. */
  const giveUp = async (request: AcmeRequest, file: OrderFile): Promise<void> => orderFiles(directory, request.certificate).write({ ...file, failed: true });

  const usable = async (request: AcmeRequest, client: AcmeClient, file: OrderFile): Promise<OrderProgress> => {
    const { order, progress } = await look(client, file).catch(async (error: unknown) => {
      if (error instanceof AcmeProblem && isForgotten(error)) await giveUp(request, file);
      throw error;
    });
    if (order.status !== 'invalid') return progress;
    await giveUp(request, file);
    throw await failureOf(client, order);
  };

  return {
    async renewalInformation(request, certificate) {
      const { issuer } = request;
      const transport = createAcmeTransport({ caBundle: issuer.caBundleFile === null ? null : await readFile(issuer.caBundleFile, 'utf8'), directoryUrl: issuer.directoryUrl, timeoutMs: context.timeoutMs });
      // It is asked without an account, so one that was never made is no hindrance.
      const client = createAcmeClient({ directoryUrl: issuer.directoryUrl, accountKey: '', accountUrl: null, externalAccountBinding: null, transport, now });
      return askRenewalInformation(client, certificate, now());
    },

    order: (request, current) =>
      withAccount(context, request.issuer, async (client) => {
        const files = orderFiles(directory, request.certificate);
        const file = await files.read();
        const isSpent = file !== null && isInUse(await readStaged(directory, request.certificate, file.order), current);
        if (file !== null && !file.failed && !isSpent && file.identity === orderIdentity(request) && (await files.readKey()) !== null) {
          const { order, progress } = await look(client, file).catch((error: unknown) => {
            if (error instanceof AcmeProblem && isForgotten(error)) return { order: null, progress: null };
            throw error;
          });
          if (order !== null && order.status !== 'invalid') return progress;
        }
        await dropStaged(directory, request.certificate);
        await files.writeKey(await createKey(request));
        const created = await createOrder(client, request, current);
        const next: OrderFile = { identity: orderIdentity(request), ...created.named, current: currentOf(current), failed: false, challenges: file?.challenges ?? [] };
        await files.write(next);
        return progressOf(next, created.response).progress;
      }),

    challenges: (request) =>
      withAccount(context, request.issuer, async (client) => {
        const file = await kept(request);
        const { order } = await look(client, file);
        const found: NotedChallenge[] = [];
        for (const authorization of await authorizationsOf(client, order)) {
          const challenge = challengeFor(authorization, request.challenge.kind);
          if (challenge === null) continue;
          const value = await client.keyAuthorization(challenge);
          found.push(challenge.type === 'dns-01' ? { kind: 'dns-01', name: authorization.name, where: `_acme-challenge.${authorization.name}`, value } : { kind: 'http-01', name: authorization.name, where: challenge.token, value });
        }
        const others = file.challenges.filter((old) => !found.some((one) => one.where === old.where && one.value === old.value));
        await orderFiles(directory, request.certificate).write({ ...file, challenges: [...others, ...found] });
        return found;
      }),

    answer: (request) =>
      withAccount(context, request.issuer, async (client) => {
        const { order } = await look(client, await kept(request));
        for (const authorization of await authorizationsOf(client, order)) {
          const challenge = challengeFor(authorization, request.challenge.kind);
          // One that the CA is looking at already is not asked for again.
          if (challenge?.status === 'pending') await client.post(challenge.url, {}, `have ${authorization.name} looked at`);
        }
      }),

    poll: (request) => withAccount(context, request.issuer, async (client) => usable(request, client, await kept(request))),

    finalize: (request) =>
      withAccount(context, request.issuer, async (client) => {
        const file = await kept(request);
        const { order, progress } = await look(client, file);
        if (order.status !== 'ready') return usable(request, client, file);
        const pair = await orderFiles(directory, request.certificate).readKey();
        if (pair === null || order.finalize === null) throw invalid('the order is ready, but it does not say where to finalize it');
        const csr = pair.csr.replaceAll(/-----[A-Z ]+-----|\s/g, '').replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
        const finalized = progressOf(file, await client.post(order.finalize, { csr }, 'finalize the order'));
        return finalized.order.status === 'invalid' ? usable(request, client, file) : { ...finalized.progress, order: progress.order };
      }),

    async download(request) {
      const file = await kept(request);
      const staged = await readStaged(directory, request.certificate, file.order);
      if (staged !== null) return staged;
      return withAccount(context, request.issuer, async (client) => {
        const { order } = await look(client, file);
        const pair = await orderFiles(directory, request.certificate).readKey();
        if (order.status !== 'valid' || order.certificate === null || pair === null) {
          if (order.status === 'invalid') return usable(request, client, file) as never;
          throw new FairleadError({ class: 'dependency', code: 'ca_still_processing', message: `The order of ${request.certificate} is ${order.status}, so there is nothing to download yet.`, hint: 'It is asked again.' }, { retryable: true });
        }
        const { data } = await client.post(order.certificate, null, 'download the certificate');
        try {
          const given = { key: pair.key, fullchain: typeof data === 'string' ? data : '' };
          const facts = await checkPair(request, given, file.current, now());
          return await stagePair(directory, request.certificate, given, facts, file.order);
        } catch (error) {
          // What the CA gave for this order cannot be used, and it would give the same again.
          if (error instanceof FairleadError) await giveUp(request, file);
          throw error;
        }
      });
    },
  };
}

/** The CA knows neither this order any more; RFC 8555 names no type for it. */
const isForgotten = ({ status }: AcmeProblem): boolean => status === 404 || status === 410;

async function createOrder(client: AcmeClient, request: AcmeRequest, current: string | null): Promise<{ named: Pick<OrderFile, 'order' | 'replaces'>; response: AcmeResponse }> {
  const directory = await client.directory();
  const url = directory['newOrder'];
  if (typeof url !== 'string') throw invalid('its directory names no newOrder');
  const order = { identifiers: request.names.map((value) => ({ type: 'dns', value })), ...(request.issuer.profile === null ? {} : { profile: request.issuer.profile }) };
  // RFC 9773, 5: only where the CA offers renewal information.
  const replaces = current === null || typeof directory['renewalInfo'] !== 'string' ? null : certificateIdOf(current);
  const send = async (payload: object, isReplacing: boolean) => {
    const response = await client.post(url, payload, 'order a certificate');
    if (typeof response.headers.location !== 'string') throw invalid('it made an order and did not say where');
    return { named: { order: response.headers.location, replaces: isReplacing }, response };
  };
  if (replaces === null) return send(order, false);
  try {
    return await send({ ...order, replaces }, true);
  } catch (error) {
    if (error instanceof AcmeProblem && isAboutReplaced(error)) return send(order, false);
    throw error;
  }
}

/**
 * Another order has replaced it, or the CA does not find it among its own: the certificate is needed all the same. Some fail in themselves instead, with each try
 * again (https://github.com/letsencrypt/pebble/issues/550); one that is at fault altogether does so without `replaces` as well.
 */
const isAboutReplaced = ({ type, status, reason }: AcmeProblem): boolean =>
  type === 'alreadyReplaced' || status === 409 || status === 404 || (type === 'malformed' && status < 500) || (status === 500 && reason.retryAt === undefined);

/** A new key and the request for its certificate. Both are written before the order is made. */
async function createKey({ names, keyType }: AcmeRequest): Promise<{ key: string; csr: string }> {
  const { privateKey } = keyType === 'ecdsa-p256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: keyType === 'rsa-4096' ? 4096 : 2048 });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key);
  return { key, csr: csr.toString() };
}
