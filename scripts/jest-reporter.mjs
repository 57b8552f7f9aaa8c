// Counts over every project and writes the totals where scripts/test.ts looks for them. A skipped test says why in its name, or in
// that of a block around it: `[skipped: there is no nginx]`, which test/support/requirement.ts puts there.
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const reasonOf = (name) => /\[skipped: (.+?)\]/.exec(name)?.[1] ?? 'no reason given';

export default class TotalsReporter {
  onRunComplete(_contexts, results) {
    const target = process.env.FAIRLEAD_TEST_TOTALS;
    if (target === undefined) return;
    const totals = { passed: 0, failed: 0, files: results.testResults.length, interrupted: results.wasInterrupted === true, failures: [], skipped: [] };
    for (const file of results.testResults) {
      const path = relative(process.cwd(), file.testFilePath);
      // A file that could not be loaded has no tests to count, and is a failure all the same.
      if (file.testExecError !== undefined && file.testExecError !== null) {
        totals.failed += 1;
        totals.failures.push(`${path}: the file could not be run`);
      }
      for (const { status, fullName } of file.testResults) {
        if (status === 'passed') totals.passed += 1;
        else if (status === 'failed') {
          totals.failed += 1;
          totals.failures.push(`${path}: ${fullName}`);
        } else totals.skipped.push({ name: `${path}: ${fullName.replace(/ ?\[skipped: .+?\]/g, '')}`, reason: reasonOf(fullName) });
      }
    }
    writeFileSync(target, JSON.stringify(totals));
  }
}
