import { points } from '../support/checkpoints.ts';
import { controlActivities, hostActivities, scenarios, startMatrix, type Matrix, type ScenarioName } from '../support/matrix.ts';
import type { Outcome } from '../../src/domain/run/report.ts';

/** Where a failure of these comes, nothing that serves has been touched. */
const beforeBackup = ['openIntent', 'downloadBundle', 'verifyBundle', 'extractBundle', 'runPreflight', 'takeBackup'];
/** What only tidies up changes no outcome, whichever way the run goes. */
const tidying: Readonly<Record<string, readonly string[]>> = { do: ['pruneReleases', 'closeIntent'], undo: ['discardRelease', 'closeIntent'] };

/** Guarantees 1, 2, 3, 4, 6 and 9. */
describe('an update loses its control worker, or an activity', () => {
  let matrix: Matrix;
  beforeAll(async () => {
    matrix = await startMatrix();
  }, 240_000);
  afterAll(() => matrix?.end(), 60_000);

  test.each([...hostActivities, ...controlActivities])('SIGKILL of control before, during and after %s: the run ends as if nothing had happened', async (activity) => {
    // What control does next does not depend on the direction: one scenario for each activity tells.
    const reached = matrix.reaching(activity)[0];
    if (!reached) throw new Error(`no scenario reaches ${activity}: the matrix has a hole`);
    const killed = matrix.killAt(activity, reached.direction, points, scenarios[reached.name].host, 'control');
    await matrix.runScenario(reached.name);
    expect(killed).toEqual({ left: [], broken: [] });
  }, 120_000);

  test.each(hostActivities)('%s fails after it has done its work: the host is brought back, and nothing is left behind', async (activity) => {
    for (const { name, direction } of matrix.reaching(activity)) {
      const { host, outcome } = scenarios[name];
      const before = await matrix.listing(host);
      matrix.decide((at) => (at.host === host && at.activity === activity && at.direction === direction && at.point === 'after' ? 'fail' : 'go'));
      const expected: Outcome =
        activity === 'inspectHost'
          ? 'refused'
          : name === 'stranded'
            ? 'stranded'
            : tidying[direction]?.includes(activity)
              ? outcome
              : direction === 'undo'
                ? 'stranded'
                : beforeBackup.includes(activity)
                  ? 'refused'
                  : 'rolled_back';
      await matrix.runScenario(name, expected);
      matrix.decide(() => 'go');
      if (name === 'update' && expected !== 'succeeded') expect(await matrix.listing(host)).toEqual(before);
    }
  }, 120_000);

  test.each(Object.keys(scenarios) as ScenarioName[])('every activity runs twice (%s): same effect as once', async (name) => {
    matrix.decide((at) => (at.point === 'before' ? 'twice' : 'go'));
    await matrix.runScenario(name);
  }, 120_000);
});
