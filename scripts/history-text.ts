import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

/** What no replay looks at, and what would make every recording differ. */
const bookkeeping: ReadonlySet<string> = new Set(['taskId', 'requestId', 'workerVersion', 'meteringMetadata']);
/** Stack traces name the files of the checkout that made them. */
const checkout = fileURLToPath(new URL('../', import.meta.url));

/** A recorded history, one event a line, so that a new recording can be compared; this machine's names are nobody's business. */
export function renderHistory(history: Parameters<typeof historyToJSON>[0]): string {
  const { events } = JSON.parse(historyToJSON(history), (key, value: unknown) => (bookkeeping.has(key) ? undefined : value)) as { events: unknown[] };
  return `{"events":[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`.replaceAll(hostname(), 'host').replaceAll(checkout, '/srv/fairlead/');
}
