import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { instance, isSetup, releaseId } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';
import { appendLine, bootsFile, createTail, readJson, rowsFile, schemaFile, setupFile, writeJson } from './lib/store.mjs';

// What the set-up has settled; Fairlead writes it when the host is promoted.
if (process.env.ENV_FILE && existsSync(process.env.ENV_FILE)) process.loadEnvFile(process.env.ENV_FILE);

const rows = createTail(rowsFile);
const startedAt = new Date().toISOString();
// Which instance started when, on which release: the proof that a rolling restart touched each one once.
appendLine(bootsFile, { instance, releaseId, pid: process.pid, at: startedAt });

serve('api', async (url, request, { faults, reloads }) => {
  const path = url.pathname.replace(/^\/api(?=\/health)/, '');
  switch (`${request.method} ${path}`) {
    case 'GET /health':
    case 'GET /health/live':
      return [200, { status: 'ok' }];
    case 'GET /health/ready':
      return faults.notReady ? [503, { status: 'not_ready', why: 'the fault notReady is set' }] : [200, { status: 'ready' }];
    case 'GET /health/detailed':
      return [200, { status: 'ok', pid: process.pid, startedAt, reloads, phase: isSetup ? 'setup' : 'installed', publicOrigin: process.env.PUBLIC_ORIGIN ?? null, hasSessionSecret: Boolean(process.env.SESSION_SECRET), schemaGeneration: readJson(schemaFile, { generation: 0 }).generation, rows: rows().total }];
    case 'GET /api/setup/status':
      // Through the router everybody could ask: the variables are for whoever is on this machine.
      return [200, request.headers['x-forwarded-for'] === undefined ? setupStatus() : { ...setupStatus(), environment: {} }];
    case 'POST /api/setup/complete': {
      const { publicOrigin, administrator } = await readBody(request);
      if (!isSetup) return [409, { error: 'this product is set up already' }];
      const before = readJson(setupFile, {});
      writeJson(setupFile, { publicOrigin: publicOrigin ?? before.publicOrigin, administrator: administrator ?? before.administrator, sessionSecret: before.sessionSecret ?? randomBytes(32).toString('base64url') });
      const { complete, missing } = setupStatus();
      return [200, { complete, missing }];
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
    case 'POST /api/upload': {
      let bytes = 0;
      for await (const chunk of request) bytes += chunk.length;
      return [201, { bytes }];
    }
    case 'GET /api/slow': {
      const ms = Math.min(Number(url.searchParams.get('ms') ?? 20_000), 600_000);
      await new Promise((resolve) => setTimeout(resolve, ms));
      return [200, { waitedMs: ms }];
    }
    default:
      return null;
  }
}, { path: '/api/socket', greet: () => ({ hello: 'noderax' }) });

/**
 * What Fairlead asks before it promotes this host: whether the set-up is complete, what is missing, and the variables of the installed runtime.
 */
function setupStatus() {
  const { publicOrigin = null, administrator = null, sessionSecret = null } = readJson(setupFile, {});
  const missing = [...(publicOrigin === null ? ['the public origin'] : []), ...(administrator === null ? ['an administrator'] : [])];
  return { complete: missing.length === 0, missing, publicOrigin, environment: isSetup && sessionSecret !== null ? { SESSION_SECRET: sessionSecret } : {} };
}

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
