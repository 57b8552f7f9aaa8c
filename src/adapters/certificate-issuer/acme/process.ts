import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { FairleadError } from '../../../domain/failure.ts';
import type { CommandResult, CommandRunner } from '../../../ports/command-runner.ts';
import { callVariable, type AcmeAnswer, type AcmeCall } from './process-protocol.ts';
import { acmeProgramText } from './program-text.ts';
import type { AcmeRequest, AcmeSteps } from './steps.ts';

/** For all requests of one step, rejected nonces included. */
const stepLimitMs = 300_000;
/** Of the agent's environment, what TLS needs; the agent's own key is none of the program's business. */
const passedOn = ['PATH', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_USE_SYSTEM_CA', 'OPENSSL_CONF'];

export interface AcmeProcessOptions {
  readonly directory: string;
  readonly commands: CommandRunner;
  readonly timeoutMs: number;
}

/**
 * Takes each step in a process that lives for that step alone, so that the agent gives back all that ACME needs (some 30 MB; of a thread's memory most
 * stayed). One that outlived an agent that was killed is ended before its step is taken again: two never work on the same order.
 */
export function createAcmeProcesses(options: AcmeProcessOptions): AcmeSteps {
  const take = (step: keyof AcmeSteps, request: AcmeRequest, ...more: readonly unknown[]): Promise<never> => runStep(options, request.certificate, { step, given: [request, ...more], directory: options.directory, timeoutMs: options.timeoutMs }) as Promise<never>;
  return {
    renewalInformation: (request, certificate) => take('renewalInformation', request, certificate),
    order: (request, current) => take('order', request, current),
    challenges: (request) => take('challenges', request),
    answer: (request) => take('answer', request),
    poll: (request) => take('poll', request),
    finalize: (request) => take('finalize', request),
    download: (request) => take('download', request),
  };
}

async function runStep({ commands, directory }: AcmeProcessOptions, certificate: string, call: AcmeCall): Promise<unknown> {
  const program = acmeProgramText === null ? [fileURLToPath(new URL('./process-entry.ts', import.meta.url))] : ['--input-type=commonjs', '-'];
  const environment = Object.fromEntries(passedOn.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
  const result = await commands.run([process.execPath, '--disable-warning=ExperimentalWarning', ...program], {
    ...(acmeProgramText === null ? {} : { input: brotliDecompressSync(Buffer.from(acmeProgramText, 'base64')).toString('utf8') }),
    extendEnv: false,
    env: { ...environment, [callVariable]: JSON.stringify(call) },
    // To ask for renewal information disturbs no order.
    only: { FAIRLEAD_ACME: `${directory} ${certificate} ${call.step === 'renewalInformation' ? 'information' : 'order'}` },
    timeoutMs: stepLimitMs,
  });
  const answer = readAnswer(result);
  if (answer?.kind === 'done') return answer.result;
  if (answer?.kind === 'failed') throw new FairleadError(answer.reason, { retryable: answer.retryable });
  const end = result.timedOut ? `was ended at its limit of ${stepLimitMs} ms` : result.signal !== null ? `was ended by ${result.signal}` : `exited with ${result.exitCode}, without an answer`;
  throw new FairleadError({ class: 'host', code: 'acme_process_failed', message: `The process that talks to the CA ${end} (${call.step}).`, hint: 'Look whether the host is out of memory; it is tried again.' }, { retryable: true });
}

function readAnswer({ exitCode, stdout }: CommandResult): AcmeAnswer | null {
  if (exitCode !== 0) return null;
  try {
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as AcmeAnswer;
  } catch {
    return null;
  }
}
