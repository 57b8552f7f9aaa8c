import type { CommandResult } from './stack.ts';

/**
 * A message is good where a person can go on from it: it says what is wrong, where, and how to mend it. Data is never mixed with it.
 * Throws what was there instead, whole, so that a failing test shows the message as the operator would have met it.
 */
export function expectMessage({ exitCode, stdout, stderr }: CommandResult, wanted: { readonly exitCode: number; readonly says: readonly (string | RegExp)[]; readonly stdout?: string }): void {
  const missing = wanted.says.filter((part) => (typeof part === 'string' ? !stderr.includes(part) : !part.test(stderr)));
  if (exitCode === wanted.exitCode && missing.length === 0 && (wanted.stdout === undefined || stdout === wanted.stdout) && !/\n\s+at .*:\d+:\d+/.test(stderr)) return;
  throw new Error(`exit code ${exitCode} (expected ${wanted.exitCode}); missing from the message: ${missing.map(String).join(', ') || 'nothing'}\nstandard error:\n${stderr}\nstandard output:\n${stdout}`);
}
