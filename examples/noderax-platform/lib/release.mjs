import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of this release. `current` is a symlink to it, which Node has already resolved. */
export const releaseDir = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Read from the release's own manifest and not from the environment, so that an answer proves which code runs and not which one was meant
 * to run.
 */
export const releaseId = /^releaseId:\s*["']?([^"'\s#]+)/m.exec(readFileSync(join(releaseDir, 'fairlead.yaml'), 'utf8'))?.[1] ?? 'unknown';

export const stateDir = process.env.FAIRLEAD_STATE_DIR ?? join(releaseDir, 'state');
export const dataDir = join(stateDir, 'data');
/** `api-a`; the environment names it with the product in front. */
export const instance = (process.env.FAIRLEAD_INSTANCE ?? 'standalone').split('/').at(-1);
export const isSetup = instance.endsWith('-setup');

/**
 * Deliberate misbehaviour, for trying out what a deployer does with a bad release. `faults.json` in the release says what; the same keys can
 * be given in `data/faults.json` below the state root, which is read again on SIGUSR2, and as JSON in FAULTS. The later one wins. README.md lists them.
 */
export function readFaults(service) {
  const all = { ...readIfThere(join(releaseDir, 'faults.json')), ...readIfThere(join(dataDir, 'faults.json')), ...JSON.parse(process.env.FAULTS ?? '{}') };
  const only = all.only === undefined ? [] : [all.only].flat();
  const isMeant = only.length === 0 || only.includes(service) || only.includes(instance);
  return isMeant && (all.releases === undefined || [all.releases].flat().includes(releaseId)) ? all : {};
}

function readIfThere(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}
