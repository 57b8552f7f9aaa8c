import { ServiceError } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { serverFailure } from '../../../../src/adapters/temporal/ask-server.ts';

/** As the client throws it: its own error around the one of gRPC. */
const answered = (code: number, details: string) => new ServiceError('Failed to start Workflow', { cause: Object.assign(new Error(`${code}: ${details}`), { code, details, metadata: {} }) });
const failure = (error: unknown) => serverFailure(error, '127.0.0.1:7233', 5_000);

describe('what a Temporal server says of itself', () => {
  test.each([
    [14, 'no connection', 'orchestrator_unavailable', true],
    [4, 'context deadline exceeded', 'orchestrator_unavailable', true],
    [8, 'namespace rate limit exceeded', 'orchestrator_busy', true],
    [13, 'GetWorkflowExecution: database is locked', 'orchestrator_failed', true],
    [2, 'shard status unknown', 'orchestrator_failed', true],
    [7, 'Request unauthorized.', 'orchestrator_refused', false],
    [16, 'no token', 'orchestrator_refused', false],
  ])('gRPC status %i (%s) is %s', (code, details, named, retryable) => {
    const found = failure(answered(code, details));
    expect([found?.reason.code, found?.reason.class, found?.retryable]).toEqual([named, 'dependency', retryable]);
    expect(found?.reason.message).toContain('127.0.0.1:7233');
    if (named !== 'orchestrator_unavailable') expect(found?.reason.message).toContain(details);
  });

  test('a server under load knows no namespace for some seconds: that may be asked again', () => {
    expect(failure(new NamespaceNotFoundError('default'))).toMatchObject({ retryable: true, reason: { code: 'orchestrator_namespace_unknown', message: expect.stringContaining('default') } });
  });

  test.each([[3, 'BadBinaries is too long'], [5, 'workflow not found'], [6, 'already started'], [9, 'closed']])('gRPC status %i (%s) is about the request, and goes through as it is', (code, details) => {
    expect(failure(answered(code, details))).toBeNull();
  });

  test('an error that no server sent goes through as it is', () => {
    expect(failure(new TypeError('not ours'))).toBeNull();
  });
});
