import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { ServerCredentials, experimental, status } from '@grpc/grpc-js';
import proto from '@temporalio/proto';
import { fieldsOf, withBytes } from '../../domain/gateway/message.ts';
import { decide, polledTokenField, type RefusalCode } from '../../domain/gateway/policy.ts';
import type { HostId } from '../../domain/ids.ts';
import type { GatewayFigures } from '../../ports/gateway-figures.ts';
import type { HostIdentities } from '../../ports/host-identities.ts';
import { createIdentityCache } from './identity-cache.ts';
import { createRefusals, type RefusalOptions } from './refusals.ts';
import { createTokenSeal, type SealKey } from './seal.ts';
import { createGatewayServer, refusalText, type AdmittedCall, type CallAnswer } from './server.ts';
import { createUpstream } from './upstream.ts';

export interface GatewayOptions extends RefusalOptions {
  /** The frontend of Temporal, host:port. */
  readonly temporalAddress: string;
  /** The one namespace of hosts. */
  readonly namespace: string;
  readonly identities: HostIdentities;
  readonly sealKeys: readonly SealKey[];
  /** How many polls of one host may be open at once in this process: one of its agent, and those of agents that died a moment ago. Default 4. */
  readonly maxPollsPerHost?: number;
}

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface TemporalGateway {
  /** @param tls null for no encryption: loopback only @returns the port @throws the error of listen(2) or of reading the files */
  listen(address: { readonly host: string; readonly port: number }, tls: TlsFiles | null): Promise<number>;
  figures(): GatewayFigures;
  /** Takes no more calls, tells open polls to go elsewhere, and gives the rest `graceMs` to end. */
  close(graceMs?: number): Promise<void>;
}

const longestPollMs = 75_000;
const longestCallMs = 30_000;
const maxCallsPerHost = 64;
/** Beyond the attempt's own limit: clocks of two copies differ, and the server has the last word in any case. */
const tokenSlackMs = 10 * 60_000;
const longestTokenMs = 7 * 24 * 3_600_000;
const certificateLookMs = 60_000;

/**
 * The only way of hosts to Temporal: a host's identity polls its own queue, beats and answers for tasks that it was given, and everything else is refused,
 * counted and audited. Keeps nothing that another copy would need: any number may run side by side.
 */
export function createTemporalGateway(options: GatewayOptions): TemporalGateway {
  const { namespace, maxPollsPerHost = 4 } = options;
  const upstream = createUpstream(options.temporalAddress, namespace);
  const seal = createTokenSeal(options.sealKeys);
  const identities = createIdentityCache(options.identities);
  const refusals = createRefusals(options);
  const polls = new Map<HostId, number>();
  const calls = new Map<HostId, number>();
  const passed = new Map<string, number>();
  const closing = new AbortController();

  async function handle(call: AdmittedCall): Promise<CallAnswer> {
    const decision = decide(call.path, call.message, { host: call.host, namespace });
    if (decision.verdict === 'refuse') return refused(call, decision.code);
    const { method, taskToken } = decision;
    let message: Buffer = call.message;
    if (taskToken !== null) {
      const token = seal.open(call.host, message.subarray(taskToken.valueStart, taskToken.end));
      if (token === null) return refused(call, 'task_token_refused');
      message = bufferOf(withBytes(message, taskToken, token));
    }
    const isPoll = method === 'PollActivityTaskQueue';
    const [open, most] = isPoll ? [polls, maxPollsPerHost] : [calls, maxCallsPerHost];
    const already = open.get(call.host) ?? 0;
    if (already >= most) return refused(call, isPoll ? 'too_many_polls' : 'too_many_calls', status.RESOURCE_EXHAUSTED);
    open.set(call.host, already + 1);
    passed.set(method, (passed.get(method) ?? 0) + 1);
    try {
      const deadlineMs = Math.min(call.deadlineMs, Date.now() + (isPoll ? longestPollMs : longestCallMs));
      const ended = isPoll ? AbortSignal.any([call.gone, closing.signal]) : call.gone;
      const answer = await upstream.call(method, message, deadlineMs, ended);
      if (!answer.ok) return isPoll && closing.signal.aborted && !call.gone.aborted ? { code: status.UNAVAILABLE, details: 'This gateway is stopping.' } : answer.failure;
      return isPoll ? await delivered(call, answer.message) : { message: answer.message };
    } finally {
      const left = (open.get(call.host) ?? 1) - 1;
      if (left === 0) open.delete(call.host);
      else open.set(call.host, left);
    }
  }

  /** A poll may have been open for a minute: who the key belongs to is asked again before a task goes out. */
  async function delivered(call: AdmittedCall, message: Buffer): Promise<CallAnswer> {
    const field = fieldsOf(message)?.find(({ number, wireType }) => number === polledTokenField && wireType === 2);
    if (field === undefined || field.end === field.valueStart) return { message };
    const token = message.subarray(field.valueStart, field.end);
    const identity = await identities.identify(call.keyText).catch(() => null);
    if (identity?.host !== call.host) {
      await upstream.giveBack(token, `host ${call.host} may not have this task: its key was refused when the task came`);
      return refused(call, 'key_refused', status.UNAUTHENTICATED);
    }
    return { message: bufferOf(withBytes(message, field, seal.seal(call.host, token, tokenUntil(message)))) };
  }

  function refused(call: AdmittedCall, code: RefusalCode, grpcCode: status = status.PERMISSION_DENIED): CallAnswer {
    refusals.note({ path: call.path, code, host: call.host, peer: call.peer });
    return { code: grpcCode, details: refusalText[code] };
  }

  const server = createGatewayServer({ identities, refusals, handle });

  return {
    async listen({ host, port }, tls) {
      const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const credentials = tls === null ? ServerCredentials.createInsecure() : credentialsOf(tls);
      return new Promise((resolve, reject) => server.bindAsync(at, credentials, (error, bound) => (error ? reject(withErrno(error)) : resolve(bound))));
    },
    figures: () => ({ openPolls: [...polls.values()].reduce((sum, count) => sum + count, 0), passed: [...passed].map(([method, count]) => ({ method, count })), refused: refusals.counts() }),
    async close(graceMs = 5_000) {
      closing.abort();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      upstream.close();
      await refusals.end();
    },
  };
}

/** Reads the files anew every minute: a renewed certificate needs no restart. Those that do not fit together fail here, and not every caller. */
function credentialsOf({ certificateFile, keyFile }: TlsFiles): ServerCredentials {
  createSecureContext({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) });
  const files = new experimental.FileWatcherCertificateProvider({ certificateFile, privateKeyFile: keyFile, refreshIntervalMs: certificateLookMs });
  return experimental.createCertificateProviderServerCredentials(files, null, false);
}

/** As long as the attempt may take. @returns ms since the epoch */
function tokenUntil(message: Buffer): number {
  const { startToCloseTimeout } = proto.temporal.api.workflowservice.v1.PollActivityTaskQueueResponse.decode(message);
  const limitMs = Number(startToCloseTimeout?.seconds ?? 0) * 1000;
  return Date.now() + Math.min(limitMs > 0 ? limitMs : longestTokenMs, longestTokenMs) + tokenSlackMs;
}

/** The library says in words which error of listen(2) there was. */
const withErrno = (error: Error): Error => Object.assign(error, { code: /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL)\b/.exec(error.message)?.[1] });

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
