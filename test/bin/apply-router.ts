// Applies one state to a router and stays, as an agent would. Argument: { kind, root, entry, state } as JSON. Prints what `apply` answered.
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createEmbeddedRouter } from '../../src/adapters/router/embedded/index.ts';
import { createNginxRouter } from '../../src/adapters/router/nginx/index.ts';

const { kind, root, entry, state } = JSON.parse(process.argv[2] ?? '{}');
const router = kind === 'nginx' ? createNginxRouter({ root, commands: createCommandRunner() }) : createEmbeddedRouter({ root, entry });
console.log(await router.apply(state));
setInterval(() => {}, 60_000);
