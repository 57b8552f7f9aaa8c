import { isNativeError } from 'node:util/types';
import { FairleadError } from '../../domain/failure.ts';

const connectionErrors = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EADDRNOTAVAIL']);
const connectionMessages = /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error|connection ended unexpectedly|not queryable|query read timeout/i;

/**
 * What a failed query means to whoever asked, by SQLSTATE (PostgreSQL, appendix A) or by the system's error.
 * Errors that are neither PostgreSQL's nor the connection's are given back as they are.
 *
 * @param what was being done, for the message: `reading run r1`.
 * @param address without the password.
 */
export function databaseError(error: unknown, what: string, address: string): unknown {
  if (error instanceof FairleadError || !isNativeError(error)) return error;
  const code = typeof (error as { code?: unknown }).code === 'string' ? (error as unknown as { code: string }).code : '';
  const refusal = (reason: { code: string; message: string; hint: string }): FairleadError =>
    new FairleadError({ class: 'dependency', ...reason }, { retryable: true, cause: error });

  if (isAway(error, code)) {
    return refusal({
      code: 'database_unavailable',
      message: `PostgreSQL at ${address} did not answer while ${what}`,
      hint: `Check that PostgreSQL runs and that this machine reaches it: pg_isready -d ${address}`,
    });
  }
  if (/^28|^3D/.test(code)) {
    return refusal({ code: 'database_refused', message: `PostgreSQL at ${address} refused the connection while ${what}`, hint: 'Check user, password and database of the database address.' });
  }
  if (code === '42P01' || code === '42703') {
    return refusal({ code: 'database_not_migrated', message: `The database at ${address} lacks a table or column while ${what}`, hint: 'Start the control worker or the API of this version once: it migrates the database.' });
  }
  if (/^(40001|40P01|55P03|57014)$/.test(code)) {
    return refusal({ code: 'database_busy', message: `PostgreSQL at ${address} gave up while ${what}: a lock or the time limit`, hint: 'Ask again. If it stays so, look for long transactions in pg_stat_activity.' });
  }
  return error;
}

function isAway(error: Error, code: string): boolean {
  // 08: connection, 53: resources, 57P: shutdown and start-up, 25006: a standby after a failover, 58030: input and output.
  if (connectionErrors.has(code) || /^(08|53|57P)/.test(code) || code === '25006' || code === '58030') return true;
  return connectionMessages.test(error.message);
}
