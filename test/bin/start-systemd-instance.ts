// Starts one instance with systemd and stays, as an agent would. Argument as JSON: { root, spec, unitDir, wrap }, where `wrap` is the command line in front of systemctl; `drop: 1` where it stands for systemctl.
import { createCommandRunner } from '../../src/adapters/process/index.ts';
import { createSystemdServiceManager } from '../../src/adapters/service-manager/systemd/index.ts';

const { root, spec, unitDir, wrap, drop = 0 } = JSON.parse(process.argv[2] ?? '{}');
const runner = createCommandRunner();
const commands = { run: (argv: readonly string[], options: Parameters<typeof runner.run>[1]) => runner.run([...wrap, ...argv.slice(drop)], options) };
console.log(await createSystemdServiceManager({ root, unitDir, commands }).start(spec));
setInterval(() => {}, 60_000);
