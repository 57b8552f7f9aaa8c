import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const releaseDir = dirname(dirname(fileURLToPath(import.meta.url)));
/** Read from the release itself, so that an answer proves which code runs. */
export const releaseId = /^releaseId:\s*["']?([^"'\s#]+)/m.exec(readFileSync(join(releaseDir, 'fairlead.yaml'), 'utf8'))?.[1] ?? 'unknown';
export const dataDir = join(process.env.FAIRLEAD_STATE_DIR ?? join(releaseDir, 'state'), 'data');
/** `runtime-a`; the environment names it with the product in front. */
export const instance = (process.env.FAIRLEAD_INSTANCE ?? 'standalone').split('/').at(-1);

/** Deliberate misbehaviour: `faults.json` in the release, README.md lists the keys. */
export function readFaults() {
  let faults = {};
  try {
    faults = JSON.parse(readFileSync(join(releaseDir, 'faults.json'), 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const only = [faults.only ?? []].flat();
  return only.length === 0 || only.includes(instance) ? faults : {};
}
