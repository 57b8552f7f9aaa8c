// node scripts/test.ts all|fast [jest arguments…]: what `npm test` and `npm run test:fast` run once the machine is ready.
// The last line of its output is `N passed, N failed, N skipped`, and nothing follows it.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suiteOf, thorough } from './suites.ts';
import { suitesToRepeat, unsteady, withRepeated, type SuiteResult } from './totals.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules/.bin');
const quiet = '--disable-warning=ExperimentalWarning';

/** Runs a program with its output on ours; resolves to its exit code. */
function run(name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  process.stdout.write(`\n# ${name}\n`);
  return new Promise((resolve) => {
    const child = spawn(argv[0]!, argv.slice(1), { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
    const end = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on('SIGTERM', end);
    child.once('error', (error) => {
      process.stdout.write(`${error.message}\n`);
      resolve(1);
    });
    child.once('close', (code) => {
      process.off('SIGTERM', end);
      resolve(code ?? 1);
    });
  });
}

/** @throws never: whatever jest itself could not do (no test found, a crash, an interruption) is a suite that failed */
async function runJest(title: string, workers: number, projects: readonly string[], more: readonly string[]): Promise<SuiteResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-totals-'));
  const file = join(folder, 'totals.json');
  const selected = projects.length === 0 ? [] : ['--selectProjects', ...projects];
  const reporters = ['--reporters=default', `--reporters=${join(root, 'scripts/jest-reporter.mjs')}`];
  // Both take every word up to the next option: before the paths in `more` has to stand one that takes a single word.
  const argv = [process.execPath, '--experimental-vm-modules', quiet, join(root, 'node_modules/jest/bin/jest.js'), ...selected, ...reporters, `--maxWorkers=${workers}`, `--testSequencer=${join(root, 'scripts/jest-sequencer.mjs')}`, ...more];
  try {
    const code = await run(title, argv, { FAIRLEAD_TEST_TOTALS: file });
    const { interrupted, suites } = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { interrupted: boolean; suites: SuiteResult[] }) : { interrupted: true, suites: [] };
    const failed = suites.some(({ failures }) => failures.length > 0);
    if (!interrupted && suites.length > 0 && (code === 0 || failed)) return suites;
    const failure = `jest ended with ${code} ${suites.length === 0 ? 'and ran no test' : interrupted ? 'and was interrupted' : 'although no test failed'}`;
    return [...suites, { path: 'jest', passed: 0, failures: [failure], skipped: [] }];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [extent = 'all', ...more] = process.argv.slice(2);
const started = Date.now();
const requiresAll = process.env['FAIRLEAD_REQUIRE_ALL'] === '1';
// Whoever names suites gets them.
const leftOut = requiresAll || more.length > 0 ? [] : ['contract', 'e2e'].flatMap((folder) => readdirSync(join(root, 'test', folder)).map((name) => `test/${folder}/${name}`)).filter((path) => suiteOf(path) in thorough && (extent === 'all' || path.startsWith('test/contract/')));
const checks = [
  { name: 'types (tsc)', argv: [join(bin, 'tsc'), '--noEmit'] },
  { name: 'imports (dependency-cruiser)', argv: [process.execPath, quiet, 'scripts/check-imports.ts'] },
  { name: "the node's artifact stands alone", argv: [process.execPath, quiet, 'scripts/check-node.ts'] },
  { name: 'generated documents are up to date', argv: [process.execPath, quiet, 'scripts/generate-docs.ts', '--check'] },
];
let passed = 0;
const failures: string[] = [];
for (const { name, argv } of extent === 'all' ? checks : []) {
  if ((await run(name, argv)) === 0) {
    passed += 1;
    process.stdout.write('ok\n');
  } else failures.push(name);
}
const ignored = leftOut.length === 0 ? [] : ['--testPathIgnorePatterns', ...leftOut.map((path) => `/${path}$`), '--verbose=false'];
const projects = extent === 'fast' ? ['unit', 'contract'] : [];
const first = await runJest(`jest: ${projects.length === 0 ? 'every project' : projects.join(', ')}`, 2, projects, [...ignored, ...more]);
// Whoever names suites wants to see them as they are.
const repeated = more.length > 0 ? [] : suitesToRepeat(first);
// By patterns: jest would run a suite that is given by its path in every project.
const patterns = repeated.map((path) => `/${path.replaceAll('.', '\\.')}$`);
const second = repeated.length === 0 ? [] : await runJest('jest: once more, alone, what failed', 1, [], patterns);
const totals = withRepeated(first, second);
const skipped = [...totals.flatMap((suite) => suite.skipped), ...leftOut.map((path) => ({ name: path, reason: `takes minutes beside ${thorough[suiteOf(path)]}; FAIRLEAD_REQUIRE_ALL=1 has it run` }))];
const demanded = requiresAll && skipped.length > 0;
failures.push(...totals.flatMap((suite) => suite.failures));

const list = (title: string, lines: readonly string[]): void => {
  if (lines.length > 0) process.stdout.write(`\n${title}\n${lines.map((line) => `  ${line}\n`).join('')}`);
};
list('skipped:', skipped.map(({ name, reason }) => `${name}: ${reason}`));
list('unsteady: failed beside others, passed alone (a defect of the test or of what it tests; what it said stands above):', unsteady(first, second));
list('failed:', failures);
if (demanded) process.stdout.write('\nFAIRLEAD_REQUIRE_ALL=1: a skipped test counts as a failure here\n');
process.stdout.write(`\n${((Date.now() - started) / 1000).toFixed(0)} s\n`);
// A demanded test that was skipped is counted once, as failed.
process.stdout.write(`${totals.reduce((sum, suite) => sum + suite.passed, passed)} passed, ${failures.length + (demanded ? skipped.length : 0)} failed, ${demanded ? 0 : skipped.length} skipped\n`);
process.exitCode = failures.length > 0 || demanded ? 1 : 0;
