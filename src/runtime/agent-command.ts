/**
 * How Node is started for the agent, which shares its machine with a product and mostly waits: a young generation of 2 MiB instead of 16, one arena
 * of malloc(3) instead of one for each thread, and a collector that can be asked once what start-up needed is garbage. Together some 25 MiB
 * (bench/README.md). Without them the agent works all the same.
 *
 * @param entry the agent's program
 */
export const agentCommand = (entry: string, argv: readonly string[] = []): string[] => [process.execPath, '--disable-warning=ExperimentalWarning', '--max-semi-space-size=2', '--expose-gc', entry, ...argv];

/** Goes with `agentCommand`; mallopt(3), ignored by other C libraries. */
export const agentEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' };
