/** Search attributes that runs are found by in the Temporal Web UI; all of type Keyword. */
export const searchAttributes = ['FairleadHost', 'FairleadProduct', 'FairleadRelease', 'FairleadOutcome'] as const;

/**
 * What Fairlead asks of a Temporal server beyond its defaults. `deploy/temporal/dynamic-config.yaml` says the same for production.
 *
 * A queue that one agent polls needs one partition: with the default of four, a first task to each of 1,000 hosts takes 41 s instead of 2.
 * The default poll rate of the transfer queue makes each step of a run wait for a slot of 50 ms on a server with few shards. What else 10,000 queues ask of
 * a server, and what it did without: docs/decisions/0030.
 */
export const dynamicConfig: Readonly<Record<string, number | boolean | string>> = {
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  'matching.rps': 20_000,
  'matching.updateAckInterval': '5m',
  'frontend.namespaceCount': 20_000,
  'frontend.WorkerHeartbeatsEnabled': true,
  'frontend.ListWorkersEnabled': true,
  'history.transferProcessorMaxPollRPS': 2000,
  'history.queueReaderStuckCriticalAttempts': 100,
  'metrics.breakdownByTaskQueue': false,
};

/** What only SQLite needs: it looks for the next timer through all those that have passed and are not taken away yet. So that is done sooner. */
const sqliteConfig: typeof dynamicConfig = { 'history.timerProcessorUpdateAckInterval': '5s' };

export interface DevelopmentServer {
  /** Path of the Temporal CLI. */
  readonly cli: string;
  /** SQLite file that holds everything; made where it does not exist. Null keeps everything in memory, where it ends with the server. */
  readonly databaseFile: string | null;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
}

/**
 * How SQLite keeps a development server's database. Its defaults (a rollback journal, synchronous=FULL) wait for the disk several times in every transaction, and
 * a step of a run has several transactions. With a write-ahead log and NORMAL nothing is lost when the server is killed, which is what
 * a development server has to survive; a power cut may take its last moments and never its consistency (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
const sqlitePragmas = { journal_mode: 'WAL', synchronous: 'NORMAL' } as const;

/** argv of a development server on 127.0.0.1. */
export function developmentServerCommand(server: DevelopmentServer): string[] {
  return [
    server.cli, 'server', 'start-dev',
    ...(server.databaseFile === null ? [] : ['--db-filename', server.databaseFile, ...Object.entries(sqlitePragmas).flatMap(([name, value]) => ['--sqlite-pragma', `${name}=${value}`])]),
    '--ip', '127.0.0.1', '--port', String(server.port), '--ui-port', String(server.uiPort),
    ...(server.namespace === 'default' ? [] : ['--namespace', server.namespace]),
    '--log-level', 'warn',
    ...searchAttributes.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...Object.entries({ ...dynamicConfig, ...sqliteConfig }).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${JSON.stringify(value)}`]),
  ];
}
