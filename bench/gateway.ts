import { fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Runtime } from '@temporalio/worker';
import { freePort } from '../src/adapters/ports/free-port.ts';
import { developmentServerCommand, whatTemporalLacks } from '../src/adapters/temporal-server/index.ts';
import { createAgentConnection } from '../src/adapters/temporal/agent-connection.ts';
import { pollerIdentity } from '../src/domain/gateway/policy.ts';
import { hostTaskQueue, type HostId } from '../src/domain/ids.ts';
import { ensureTemporalCli } from '../src/runtime/toolchain.ts';
import { startBareChain } from './support/bare-chain.ts';
import { machine, median, shown } from './support/figures.ts';

/**
 * What the gateway costs: chains of empty activities by the agent's own poller, through a gateway with TLS and straight to the server, in turns in one
 * run. The server keeps its runs in memory, so that as little as possible stands beside the difference. Run: `node bench/gateway.ts [TURNS]`.
 */
const turns = Number(process.argv[2] ?? 12);
const steps = 25;
const ratioLimit = 1.25;
const host = 'bench' as HostId;

const cli = (await ensureTemporalCli(process.env, () => undefined)).path;
const [port, uiPort] = [await freePort(new Set()), await freePort(new Set())];
const address = `127.0.0.1:${port}`;
const [command = '', ...argv] = developmentServerCommand({ cli, databaseFile: null, port, uiPort, namespace: 'default' });
const server = spawn(command, argv, { stdio: 'ignore' });
while ((await whatTemporalLacks(address, 'default', 2_000)) !== null) await pause(100);

const key = 'bench';
const gateway = fork(join(import.meta.dirname, 'support/gateway-process.ts'), [address, key, host], { execArgv: ['--disable-warning=ExperimentalWarning'] });
const told = await new Promise<{ address: string; caFile: string }>((resolve) => gateway.once('message', (message) => resolve(message as never)));

const direct = createAgentConnection(address);
const through = createAgentConnection({ address: told.address, tls: { caFile: told.caFile }, readKey: () => key });
const chains = {
  direct: await startBareChain(direct, address),
  through: await startBareChain(direct, address, { connection: through, taskQueue: hostTaskQueue(host), identity: pollerIdentity(host, '0'), sealedTokens: true }),
};
const took = { direct: [] as number[], through: [] as number[] };
for (let turn = 0; turn <= turns; turn += 1) {
  for (const way of turn % 2 === 0 ? (['direct', 'through'] as const) : (['through', 'direct'] as const)) {
    const ms = (await chains[way].take(steps)) / steps;
    if (turn > 0) took[way].push(ms); // The first is for warming up.
  }
}
const ratios = took.through.map((ms, at) => ms / (took.direct[at] ?? Number.NaN));
const isHeld = median(ratios) <= ratioLimit;
console.log(`${machine()}; min / median / max of ${turns} chains of ${steps} empty activities`);
console.log(`  straight to the server  ${shown(took.direct, 2)} ms for each`);
console.log(`  through the gateway     ${shown(took.through, 2)} ms for each`);
console.log(`  ratio                   ${shown(ratios, 2)}   limit ${ratioLimit}: ${isHeld ? 'held' : 'NOT HELD'}`);

for (const chain of Object.values(chains)) await chain.end();
await Promise.all([direct.close(), through.close()]);
await Runtime.instance().shutdown();
gateway.disconnect();
await new Promise((resolve) => gateway.once('exit', resolve));
server.kill('SIGTERM');
await new Promise((resolve) => server.once('exit', resolve));
process.exitCode = isHeld ? 0 : 1;
