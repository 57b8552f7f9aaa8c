import { readFaults } from './release.mjs';

/** Runs a hook. The last line that it prints is its note in the run's report; a failure is an exit status of 1 with its reason on stderr. */
export function runHook(name, work) {
  try {
    if ([readFaults(name).failHook].flat().includes(name)) throw new Error(`the fault failHook names ${name}`);
    console.log(work());
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    process.exit(1);
  }
}
