import { startDev, type DevOptions } from '../../../src/runtime/dev/index.ts';

// `fairlead dev` with what only tests replace. It can be killed, which a supervisor inside of the test cannot.
const [options = '{}'] = process.argv.slice(2);
const dev = await startDev({ ...(JSON.parse(options) as Pick<DevOptions, 'dir' | 'hosts' | 'replace'>), env: process.env, say: (line) => process.stderr.write(`${line}\n`) });
process.once('SIGTERM', () => void dev.stop().then(() => process.exit(0)));
process.stdout.write(`${JSON.stringify(dev.summary)}\n`);
