import { randomUUID } from 'node:crypto';
import { instance, releaseId } from './lib/release.mjs';
import { isSameKey, mask, readKeys } from './lib/secrets.mjs';
import { refusal, serve } from './lib/serve.mjs';
import { addAudit, addBoot, addTask, readAudit, readSettings, readTasks, writeSettings } from './lib/store.mjs';

const connectionLimitMs = 10_000;
const keys = loadKeys();
if (!keys.RUNTIME_API_KEY) console.error(`${instance}: RUNTIME_API_KEY is not set: /api/runtime is open to everybody who can reach it`);
addBoot({ instance, releaseId, pid: process.pid, at: new Date().toISOString() });

serve(async (method, path, { headers, json, faults }) => {
  if (path === '/api/runtime' || path.startsWith('/api/runtime/')) demandKey(headers['x-runtime-api-key']);
  const task = /^\/api\/runtime\/llm-tasks\/([0-9a-f-]{36})$/.exec(path);
  if (method === 'GET' && task !== null) {
    const found = readTasks().find(({ id }) => id === task[1]);
    return found ? [200, found] : [404, { error: 'there is no such task' }];
  }
  switch (`${method} ${path}`) {
    case 'GET /':
      return [200, '<!doctype html><html lang="en"><title>BLOOM Runtime</title><h1>BLOOM Runtime</h1>'];
    case 'GET /health/live':
    case 'GET /api/health':
      return [200, { status: 'ok' }];
    case 'GET /health/ready':
      return faults.notReady ? [503, { status: 'not_ready', why: 'the fault notReady is set' }] : [200, { status: 'ready' }];
    case 'GET /health/detailed':
      return [200, { status: 'ok', pid: process.pid, tasks: readTasks().length, hasRuntimeKey: Boolean(keys.RUNTIME_API_KEY), hasAdminKey: connection().adminKey !== null }];
    case 'GET /api/runtime/config':
      return [200, shownConfig()];
    case 'POST /api/runtime/config': {
      const { membridge_server_url: url, membridge_admin_key: adminKey } = await json();
      if (url === undefined && adminKey === undefined) throw refusal(400, 'membridge_server_url or membridge_admin_key is missing');
      if (url !== undefined && !isWebAddress(url)) throw refusal(400, 'membridge_server_url is no http or https address');
      if (adminKey !== undefined && (typeof adminKey !== 'string' || !/^[\x21-\x7e]{8,200}$/.test(adminKey))) throw refusal(400, 'membridge_admin_key has to have 8 to 200 printable characters and no blank');
      // A test of the old connection says nothing of the new one.
      writeSettings({ ...readSettings(), ...(url === undefined ? {} : { url }), ...(adminKey === undefined ? {} : { adminKey }), lastTest: null });
      addAudit({ action: 'config_changed', url: url !== undefined, adminKey: adminKey !== undefined });
      return [200, shownConfig()];
    }
    case 'POST /api/runtime/test-connection': {
      const result = await testConnection();
      writeSettings({ ...readSettings(), lastTest: { at: new Date().toISOString(), connected: result.connected } });
      addAudit({ action: 'connection_tested', connected: result.connected });
      return [200, result];
    }
    case 'GET /api/runtime/llm-tasks':
      return [200, readTasks()];
    case 'POST /api/runtime/llm-tasks': {
      const { prompt } = await json();
      if (typeof prompt !== 'string' || prompt === '') throw refusal(400, 'prompt is missing');
      const created = { id: randomUUID(), prompt, status: 'queued', createdAt: new Date().toISOString(), acceptedBy: releaseId };
      addTask(created);
      addAudit({ action: 'task_created', task: created.id });
      return [201, created];
    }
    case 'GET /api/runtime/audit':
      return [200, readAudit()];
    case 'GET /api/runtime/stats':
      return [200, { tasks: { total: readTasks().length }, leases: { active: 0 }, workers: { online: 0 } }];
    default:
      return null;
  }
});

function loadKeys() {
  try {
    return { ...(process.env.ENV_FILE ? readKeys(process.env.ENV_FILE) : {}), ...pick(process.env, ['RUNTIME_API_KEY', 'MEMBRIDGE_SERVER_URL', 'MEMBRIDGE_ADMIN_KEY']) };
  } catch (error) {
    console.error(`${instance}: cannot start: ${error.message}`);
    process.exit(1);
  }
}

function demandKey(given) {
  if (!keys.RUNTIME_API_KEY || (typeof given === 'string' && isSameKey(given, keys.RUNTIME_API_KEY))) return;
  throw refusal(401, 'X-RUNTIME-API-KEY is missing or wrong');
}

/** What was set through the API wins over the file: it is newer. */
function connection() {
  const settings = readSettings();
  return { url: settings.url ?? keys.MEMBRIDGE_SERVER_URL ?? 'http://127.0.0.1:8000', adminKey: settings.adminKey ?? keys.MEMBRIDGE_ADMIN_KEY ?? null, lastTest: settings.lastTest ?? null };
}

function shownConfig() {
  const { url, adminKey, lastTest } = connection();
  return { membridge_server_url: url, admin_key_masked: adminKey === null ? null : mask(adminKey), connected: lastTest?.connected ?? false, last_test: lastTest?.at ?? null };
}

async function testConnection() {
  const { url, adminKey } = connection();
  try {
    const response = await fetch(new URL('/health', url), { headers: adminKey === null ? {} : { 'x-membridge-admin': adminKey }, redirect: 'error', signal: AbortSignal.timeout(connectionLimitMs) });
    const health = await response.json();
    return { connected: response.ok, health };
  } catch (error) {
    return { connected: false, why: error.name === 'TimeoutError' ? `no answer within ${connectionLimitMs / 1000} s` : 'it could not be reached, or what it answered is no JSON' };
  }
}

function isWebAddress(text) {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null;
  return url !== null && ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === '';
}

function pick(from, names) {
  return Object.fromEntries(names.filter((name) => from[name]).map((name) => [name, from[name]]));
}
