import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { releaseDir } from '../lib/release.mjs';

const manifest = readFileSync(join(releaseDir, 'fairlead.yaml'), 'utf8');
const numberOf = (name) => Number(new RegExp(`^\\s+${name}:\\s*(\\d+)`, 'm').exec(manifest)?.[1] ?? 1);

/** The generation of the rows that this release writes, and the oldest that it reads: what `data` in the manifest says. */
export const generation = numberOf('schemaGeneration');
export const readsFrom = numberOf('readsFrom');
