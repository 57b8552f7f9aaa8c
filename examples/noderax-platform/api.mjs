import { randomUUID } from 'node:crypto';
import { instance, isSetup, releaseId } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';
import { appendLine, bootsFile, createTail, readJson, rowsFile, schemaFile, setupFile, writeJson } from './lib/store.mjs';

const rows = createTail(rowsFile);
const startedAt = new Date().toISOString();
// Which instance started when, on which release: the proof that a rolling restart touched each one once.
appendLine(bootsFile, { instance, releaseId, pid: process.pid, at: startedAt });

serve('api', async (url, request, { faults }) => {
  const path = url.pathname.replace(/^\/api(?=\/health)/, '');
  switch (`${request.method} ${path}`) {
    case 'GET /health':
    case 'GET /health/live':
      return [200, { status: 'ok' }];
    case 'GET /health/ready':
      return faults.notReady ? [503, { status: 'not_ready', why: 'the fault notReady is set' }] : [200, { status: 'ready' }];
    case 'GET /health/detailed':
      return [200, { status: 'ok', pid: process.pid, startedAt, phase: isSetup ? 'setup' : 'installed', schemaGeneration: readJson(schemaFile, { generation: 0 }).generation, rows: rows().total }];
    case 'GET /api/setup/status':
      return [200, { ...readJson(setupFile, { complete: false, publicOrigin: null }) }];
    case 'POST /api/setup/complete': {
      const { publicOrigin } = await readBody(request);
      if (!isSetup) return [409, { error: 'this product is set up already' }];
      writeJson(setupFile, { complete: true, publicOrigin: publicOrigin ?? null });
      return [200, { complete: true }];
    }
    case 'GET /api/rows':
      return [200, rows()];
    case 'POST /api/rows': {
      const { text } = await readBody(request);
      if (typeof text !== 'string' || text === '') return [400, { error: 'text is missing' }];
      const row = { id: randomUUID(), text, at: new Date().toISOString(), writtenBy: releaseId };
      appendLine(rowsFile, row);
      return [201, row];
    }
    case 'GET /api/slow': {
      const ms = Math.min(Number(url.searchParams.get('ms') ?? 20_000), 600_000);
      await new Promise((resolve) => setTimeout(resolve, ms));
      return [200, { waitedMs: ms }];
    }
    default:
      return null;
  }
});

async function readBody(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 65_536) throw new Error('the body is larger than 64 KiB');
  }
  try {
    return JSON.parse(text || '{}') ?? {};
  } catch {
    return {};
  }
}
