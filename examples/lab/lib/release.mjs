import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of this release. `current` is a symlink to it, which Node has already resolved. */
export const releaseDir = dirname(dirname(fileURLToPath(import.meta.url)));
/** Of the manifest that lies with the code, and not of the environment: an answer then proves which code runs. */
export const releaseId = /^releaseId:\s*["']?([^"'\s#]+)/m.exec(readFileSync(join(releaseDir, 'fairlead.yaml'), 'utf8'))?.[1] ?? 'unknown';
export const stateDir = process.env.FAIRLEAD_STATE_DIR ?? join(releaseDir, 'state');
/** `hub-a`; the environment names it with the product in front. */
export const instance = (process.env.FAIRLEAD_INSTANCE ?? 'standalone').split('/').at(-1);

// Settings of this host, which no release brings.
if (process.env.ENV_FILE && existsSync(process.env.ENV_FILE)) process.loadEnvFile(process.env.ENV_FILE);

/** Deliberate misbehaviour: faults.json of the release, or FAULTS as JSON, which wins. README.md lists the keys. */
export function readFaults(service) {
  const file = join(releaseDir, 'faults.json');
  const all = { ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}), ...JSON.parse(process.env.FAULTS ?? '{}') };
  const only = [all.only ?? []].flat();
  return only.length === 0 || only.includes(service) || only.includes(instance) ? all : {};
}
