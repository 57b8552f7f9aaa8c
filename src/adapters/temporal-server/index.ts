import { Connection } from '@temporalio/client';
import { searchAttributes } from './commands.ts';

export { developmentServerCommand, dynamicConfig, searchAttributes } from './commands.ts';
export type { DevelopmentServer } from './commands.ts';

/**
 * Asks the server once whether a run could be started: it answers, has the namespace, and knows the search attributes.
 * @param address host:port
 * @returns null where it could, else what is missing, in words
 */
export async function whatTemporalLacks(address: string, namespace: string, timeoutMs: number): Promise<string | null> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: timeoutMs });
    const ready = connection;
    return await ready.withDeadline(Date.now() + timeoutMs, async () => {
      await ready.workflowService.describeNamespace({ namespace });
      const { customAttributes } = await ready.operatorService.listSearchAttributes({ namespace });
      const missing = searchAttributes.filter((name) => !(name in (customAttributes ?? {})));
      return missing.length === 0 ? null : `namespace ${namespace} has no search attribute ${missing.join(', ')}`;
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await connection?.close();
  }
}
