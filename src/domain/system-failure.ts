import { FairleadError, messagesOf } from './failure.ts';

/** What the operating system's errors mean to a person on that host (errno(3)). */
const byErrno: Readonly<Record<string, { code: string; what: string; hint: string; retryable: boolean }>> = {
  ENOSPC: { code: 'disk_full', what: 'the disk is full', hint: 'Make room (df -h, df -i), then start the update again.', retryable: false },
  EDQUOT: { code: 'disk_full', what: 'the disk quota is used up', hint: 'Raise the quota or make room.', retryable: false },
  EROFS: { code: 'disk_read_only', what: 'the file system is read-only', hint: 'Look at dmesg: a file system that met errors is often remounted read-only.', retryable: false },
  EACCES: { code: 'permission_denied', what: 'the agent may not do this', hint: 'The agent needs write access below /opt, /etc and /var/lib of the product (or below --root).', retryable: false },
  EPERM: { code: 'permission_denied', what: 'the system forbids it', hint: 'Look for the immutable flag (lsattr) and for sandboxing of the agent.', retryable: false },
  EMFILE: { code: 'too_many_open_files', what: 'the agent has too many files open', hint: 'Raise its limit (LimitNOFILE, ulimit -n).', retryable: true },
  ENFILE: { code: 'too_many_open_files', what: 'the machine has too many files open', hint: 'Raise fs.file-max.', retryable: true },
  EIO: { code: 'disk_error', what: 'the disk reported an input/output error', hint: 'Look at dmesg and smartctl: the disk may be dying.', retryable: false },
};

/** Every error as one with a code and a class. What nobody foresaw is a defect of Fairlead, and is tried again. */
export function asFairleadError(error: unknown, doing: string): FairleadError {
  if (error instanceof FairleadError) return error;
  const errno = (error as { code?: unknown } | null)?.code;
  const known = typeof errno === 'string' ? byErrno[errno] : undefined;
  const path = (error as { path?: unknown } | null)?.path;
  if (known) {
    const message = `${doing}: ${known.what}${typeof path === 'string' ? ` (${path})` : ''}: ${messagesOf(error).join(': ')}`;
    return new FairleadError({ class: 'host', code: known.code, message, hint: known.hint }, { cause: error, retryable: known.retryable });
  }
  return new FairleadError(
    {
      class: 'orchestrator',
      code: 'unexpected_error',
      message: `${doing}: ${messagesOf(error).join(': ')}`,
      hint: "This is a defect of Fairlead: keep the run id and the agent's log.",
    },
    { cause: error, retryable: true },
  );
}
