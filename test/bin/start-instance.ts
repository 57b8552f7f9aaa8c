// Starts one instance and stays, as an agent would. Argument: { root, spec } as JSON. Prints what `start` answered.
import { createEmbeddedServiceManager } from '../../src/adapters/service-manager/embedded/index.ts';

const { root, spec } = JSON.parse(process.argv[2] ?? '{}');
console.log(await createEmbeddedServiceManager({ root }).start(spec));
setInterval(() => {}, 60_000);
