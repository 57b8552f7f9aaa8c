import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The example product, cut down to what the matrix needs: two API instances behind the router, and hooks that are one shell command each. A
 * run of it has every kind of step and takes a second.
 */
export async function cutDown(directory: string): Promise<void> {
  await fs.rm(join(directory, 'web.mjs'), { force: true });
  await fs.rm(join(directory, 'hooks'), { recursive: true, force: true });
  await fs.writeFile(
    join(directory, 'fairlead.yaml'),
    `schema: 1
product: noderax-platform
releaseId: replaced
platformVersion: "1.0.0"
artifact: { role: node, profile: matrix }
initialPhase: installed
services:
  api:
    command: [node, api.mjs]
    instances: { setup: [setup], installed: [a, b] }
    ports: { setup: 4010, a: 4011, b: 4012 }
    stop: { signal: SIGTERM, seconds: 5 }
    drainSeconds: 5
    startSeconds: 5
    reloadSignal: SIGUSR2
    probes: { live: live, ready: ready }
probes:
  live: { service: api, path: /health/live, timeoutSeconds: 2 }
  ready: { service: api, path: /health/ready, releaseIdField: releaseId, timeoutSeconds: 2 }
  route: { router: true, path: /health, releaseIdField: releaseId, timeoutSeconds: 2 }
health:
  setup: [live]
  installed: [ready, route]
router:
  listen: 4000
  routes: { /: api }
  nginx: { upstreams: { api: noderax_api } }
hooks:
  preflight: { command: [sh, -c, 'true'], timeoutSeconds: 10 }
  backup: { command: [sh, -c, 'cp "$FAIRLEAD_STATE_DIR/data/generation" "$FAIRLEAD_BACKUP_DIR/generation" 2>/dev/null || echo 0 >"$FAIRLEAD_BACKUP_DIR/generation"'], timeoutSeconds: 10 }
  migrate: { command: [sh, -c, 'mkdir -p "$FAIRLEAD_STATE_DIR/data" && echo "$FAIRLEAD_RELEASE_ID" >"$FAIRLEAD_STATE_DIR/data/generation"'], timeoutSeconds: 10 }
  restore: { command: [sh, -c, 'cp "$FAIRLEAD_BACKUP_DIR/generation" "$FAIRLEAD_STATE_DIR/data/generation"'], timeoutSeconds: 10 }
data: { schemaGeneration: 1, readsFrom: 1, onRollback: restore }
retention: { releases: 2, backups: 2 }
bakeSeconds: 0
canary: { tiers: [50], holdSeconds: 0, minRequests: 0 }
blueGreen: { keepWarmSeconds: 0 }
setup: { service: api, path: /api/setup/status }
`,
  );
}
