import { tried } from '../support/checkpoints.ts';
import { hostActivities, scenarios, startMatrix, type Matrix } from '../support/matrix.ts';

/** Guarantees 1, 2, 3, 4, 6 and 9. */
describe('an update loses its agent', () => {
  let matrix: Matrix;
  beforeAll(async () => {
    matrix = await startMatrix();
  }, 240_000);
  afterAll(() => matrix?.end(), 60_000);

  test.each(tried(hostActivities))('SIGKILL %s %s: the run ends as if nothing had happened', async (point, activity) => {
    const reached = matrix.reaching(activity);
    expect(reached.length).toBeGreaterThan(0); // No scenario reaches it: the matrix has a hole.
    for (const { name, direction } of reached) {
      const killed = matrix.killAt(activity, direction, [point], scenarios[name].host, 'agent');
      await matrix.runScenario(name);
      expect(killed).toEqual({ left: [], broken: [] });
    }
  }, 120_000);
});
