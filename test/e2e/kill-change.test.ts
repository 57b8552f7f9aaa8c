import { changeScenarios, startChangeMatrix, type ChangeMatrix } from '../support/change-matrix.ts';

/** Guarantees 1, 2, 3, 4, 6 and 9. */
describe('a promotion, or a release beside the old one, loses its agent at every activity', () => {
  let matrix: ChangeMatrix;
  beforeAll(async () => {
    matrix = await startChangeMatrix('agent');
  }, 300_000);
  afterAll(() => matrix?.end(), 60_000);

  test.each(changeScenarios)('$name: the run ends as if nothing had happened', (scenario) => matrix.survive(scenario), 420_000);

  test('at every activity that only these runs have it was killed before, during and after its effect', () => {
    // What only asks has no effect to be killed during.
    expect(matrix.missed().filter((name) => !/^(checkSetup|measureTraffic) during$/.test(name))).toEqual([]);
  });
});
