// Writes how each suite ended where scripts/test.ts looks for it, in the shape of scripts/totals.ts. A skipped test says why in its name, or in
// that of a block around it: `[skipped: there is no nginx]`, which test/support/requirement.ts puts there.
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const reasonOf = (name) => /\[skipped: (.+?)\]/.exec(name)?.[1] ?? 'no reason given';

export default class TotalsReporter {
  onRunComplete(_contexts, results) {
    const target = process.env.FAIRLEAD_TEST_TOTALS;
    if (target === undefined) return;
    const suites = results.testResults.map((file) => {
      const path = relative(process.cwd(), file.testFilePath);
      // A file that could not be loaded has no tests to count, and is a failure all the same.
      const unread = file.testExecError === undefined || file.testExecError === null ? [] : [`${path}: the file could not be run`];
      const of = (status) => file.testResults.filter((test) => test.status === status).map(({ fullName }) => fullName);
      const others = file.testResults.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ fullName }) => fullName);
      return {
        path,
        passed: of('passed').length,
        failures: [...unread, ...of('failed').map((name) => `${path}: ${name}`)],
        skipped: others.map((name) => ({ name: `${path}: ${name.replace(/ ?\[skipped: .+?\]/g, '')}`, reason: reasonOf(name) })),
      };
    });
    writeFileSync(target, JSON.stringify({ interrupted: results.wasInterrupted === true, suites }));
  }
}
