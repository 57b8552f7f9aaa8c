import Sequencer from '@jest/test-sequencer';
import { longest, suiteOf } from './suites.ts';

const rank = ({ path }) => {
  const at = longest.indexOf(suiteOf(path));
  return at === -1 ? longest.length : at;
};

export default class LongestFirst extends (Sequencer.default ?? Sequencer) {
  sort(tests) {
    return [...super.sort(tests)].sort((a, b) => rank(a) - rank(b));
  }
}
