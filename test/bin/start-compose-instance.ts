// Starts one instance as a container and stays, as an agent would. Argument: { root, spec, image, dockerHost } as JSON. Prints what `start` answered.
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createComposeServiceManager } from '../../src/adapters/service-manager/compose/index.ts';

const { root, spec, image, dockerHost } = JSON.parse(process.argv[2] ?? '{}');
console.log(await createComposeServiceManager({ root, image, dockerHost, commands: createCommandRunner() }).start(spec));
setInterval(() => {}, 60_000);
