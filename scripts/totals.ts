// What a run of the suites came to, and which of them are run once more. Pure: scripts/test.ts runs jest, scripts/jest-reporter.mjs writes what is read here.

export interface SuiteResult {
  /** Relative to the project. */
  readonly path: string;
  readonly passed: number;
  /** The full names of the tests that failed, after the path. */
  readonly failures: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/** More than this many at once is no matter of luck: the change or the machine is broken, and running them again would only take time. */
const mostRepeated = 3;

const onRealParts = ({ path }: SuiteResult): boolean => /^test\/(contract|e2e)\//.test(path);

/**
 * The suites to run once more, alone: the failed ones, where they are few and all of them run real parts. What is pure has no luck: if it fails, it fails.
 * @returns paths; none where a second run could not change the outcome
 */
export function suitesToRepeat(suites: readonly SuiteResult[]): string[] {
  const failed = suites.filter(({ failures }) => failures.length > 0);
  return failed.length > mostRepeated || !failed.every(onRealParts) ? [] : failed.map(({ path }) => path);
}

/** The first run with the suites of the second in the place of their first results. A suite that the second did not reach keeps its first one. */
export function withRepeated(first: readonly SuiteResult[], second: readonly SuiteResult[]): SuiteResult[] {
  const again = new Map(second.map((suite) => [suite.path, suite]));
  return first.map((suite) => again.get(suite.path) ?? suite);
}

/** Every failure of the first run that the second did not show: these passed only the second time. */
export function unsteady(first: readonly SuiteResult[], second: readonly SuiteResult[]): string[] {
  const passed = new Set(second.filter(({ failures }) => failures.length === 0).map(({ path }) => path));
  return first.filter(({ path }) => passed.has(path)).flatMap(({ failures }) => failures);
}
