// Starts one instance with OpenRC and stays, as an agent would. Argument as JSON: { root, spec, initDir, stateDir }; which OpenRC it is, the PATH says.
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createOpenRcServiceManager } from '../../src/adapters/service-manager/openrc/index.ts';

const { root, spec, initDir, stateDir } = JSON.parse(process.argv[2] ?? '{}');
console.log(await createOpenRcServiceManager({ root, initDir, stateDir, commands: createCommandRunner() }).start(spec));
setInterval(() => {}, 60_000);
