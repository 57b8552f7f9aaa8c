/**
 * Why something did not work. The class decides who is to blame and what happens next: only `release` condemns a
 * release, a `dependency` that is away is waited for, `host` and `orchestrator` leave the release untainted.
 */
export type FailureClass = 'release' | 'host' | 'dependency' | 'orchestrator' | 'request';

/** A failure as data: what reports, audit rows, problems of the API and Temporal failures carry. */
export interface Reason {
  readonly class: FailureClass;
  /** Stable, in snake_case, for programs. */
  readonly code: string;
  /** What happened, where, and which limit was reached. */
  readonly message: string;
  /** What a person can do about it; a command where there is one. */
  readonly hint?: string;
  /** When the other side may be asked again, as it said (already bounded); ISO 8601. Who asks before that makes matters worse. */
  readonly retryAt?: string;
}

/** An error whose code and class survive every border: process, activity, workflow, HTTP. */
export class FairleadError extends Error {
  readonly reason: Reason;
  /** Whether the same call may succeed later with nothing changed. */
  readonly retryable: boolean;
  /** Facts for the report (probe answers, log lines); never secrets. */
  readonly evidence: readonly Evidence[];

  constructor(reason: Reason, options: { retryable?: boolean; cause?: unknown; evidence?: readonly Evidence[] } = {}) {
    super(reason.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FairleadError';
    this.reason = reason;
    this.retryable = options.retryable ?? false;
    this.evidence = options.evidence ?? [];
  }
}

/** A fact that was kept before anything was undone. */
export type Evidence =
  | {
      readonly kind: 'probe';
      readonly at: string;
      readonly probe: string;
      readonly target: string;
      readonly passed: boolean;
      /** What was answered: status and the first bytes of the body, or the error. */
      readonly answer: string;
    }
  | { readonly kind: 'log'; readonly at: string; readonly instance: string; readonly path: string; readonly lines: readonly string[] }
  | { readonly kind: 'unit'; readonly at: string; readonly instance: string; readonly status: string; readonly exit: string | null }
  | { readonly kind: 'command'; readonly at: string; readonly command: string; readonly exit: string; readonly output: string };

/** Every message of a chain of causes, outermost first. */
export function messagesOf(error: unknown): string[] {
  const messages: string[] = [];
  for (let current = error; current !== undefined && current !== null && messages.length < 10; ) {
    messages.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return messages;
}
