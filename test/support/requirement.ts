import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Something that a suite needs of the machine. `missing` is null where it is there, else why the suite cannot run. */
export interface Requirement {
  readonly missing: string | null;
}

/** Whether the machine is there for testing: what takes a quarter of an hour is for it alone. */
export const triesEverything = process.env['FAIRLEAD_REQUIRE_ALL'] === '1';

export const root: Requirement = { missing: process.getuid?.() === 0 ? null : 'needs root' };

/**
 * A machine that is there for testing: what needs it starts service managers and container daemons and writes below /etc. `npm test` on somebody's own
 * machine says so and leaves them out; continuous integration sets the variable.
 */
export const givenMachine: Requirement = { missing: triesEverything ? null : 'needs a machine that is there for testing (FAIRLEAD_REQUIRE_ALL=1)' };

/** For what takes minutes beside a sister that shows the same on other parts, and is always run. @param sister named to whoever wonders why it was left out */
export const thorough = (sister: string): Requirement => ({ missing: triesEverything ? null : `takes minutes beside ${sister}; FAIRLEAD_REQUIRE_ALL=1 has it run` });

/** A program on the PATH or in sbin. */
export function program(name: string): Requirement {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const there = directories.some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return directory !== '';
    } catch {
      return false;
    }
  });
  return { missing: there ? null : `there is no ${name}` };
}

/** `describe`, or a skipped one whose name says what is missing. FAIRLEAD_REQUIRE_ALL=1 has the run fail where anything was skipped. */
export function describeWith(requirements: readonly Requirement[], name: string, body: () => void): void {
  const missing = requirements.flatMap((requirement) => requirement.missing ?? []);
  if (missing.length === 0) describe(name, body);
  else describe.skip(`${name} [skipped: ${missing.join(', ')}]`, body);
}
