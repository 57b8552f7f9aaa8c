import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};

/** `min / median / max`. */
export const shown = (values: readonly number[], digits = 0): string => [Math.min(...values), median(values), Math.max(...values)].map((value) => value.toFixed(digits)).join(' / ');

/** One line about where the figures come from, with how busy the machine was before. */
export function machine(): string {
  const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  return `${cpus().length} processors (${cpus()[0]?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}, load ${load} before the start`;
}
