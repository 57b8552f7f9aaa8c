import { createHostStore } from '../../adapters/host-store/filesystem.ts';
import { createLogger } from '../../adapters/logger.ts';
import { createHostSecrets } from '../../adapters/secrets/host.ts';
import { bootstrap } from '../bootstrap.ts';
import { section } from '../config.ts';
import { enter, stopOnSignal } from '../entry.ts';
import { version } from '../version.ts';
import { agentParts, type AgentOptions } from './index.ts';

/** By then the agent is at work, and most of what start-up made is garbage that an idle process would keep for hours. */
const tidyAfterMs = 3_000;

/** The agent as a process: settings from flags and environment, until SIGTERM or SIGINT. */
export async function runAgent(argv: readonly string[], hooks: Pick<AgentOptions, 'around' | 'wrap'> = {}): Promise<void> {
  await enter('agent', argv, 'node', async (settings) => {
    const host = section(settings, 'host');
    const secrets = createHostSecrets(host.root, () => createHostStore(host.root).products());
    const logger = createLogger({ name: 'agent', host: host.hostId, level: host.logLevel, hide: secrets.hide });
    // Called with `router`, the same program is the router.
    const routerEntry = [process.execPath, process.argv[1] ?? '', 'router'];
    const parts = await agentParts({ settings: host, version, role: host.hostRole, logger, secrets, routerEntry, ...hooks });
    const started = await bootstrap(parts, (fields, message) => logger.error(fields, message));
    stopOnSignal(logger, () => started.stop());
    // There only where the start command allows it (src/runtime/agent-command.ts).
    setTimeout(() => globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' }), tidyAfterMs).unref();
  });
}
