import pg from 'pg';
import type { FleetBus, FleetWord } from '../../ports/fleet-stores.ts';

const channel = 'fairlead_fleet';
const firstPauseMs = 100;
const longestPauseMs = 5_000;

export interface RunningFleetBus extends FleetBus {
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * LISTEN and NOTIFY on a connection of its own, which is opened again whenever it breaks; words that came meanwhile are lost. A pool in front of
 * PostgreSQL that hands connections out by transaction (PgBouncer's transaction mode) carries no notifications: give the database's own address.
 *
 * @param url as for `createDatabase`
 */
export function createFleetBus(url: string): RunningFleetBus {
  const listeners = new Set<(word: FleetWord) => void>();
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let pauseMs = firstPauseMs;
  let closed = false;

  async function connect(): Promise<void> {
    const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true, application_name: 'fairlead fleet' });
    const lost = (): void => {
      if (client === fresh) client = null;
      fresh.removeAllListeners('end');
      again();
    };
    // Without a listener an error of the connection would end the process.
    fresh.on('error', () => undefined);
    fresh.once('end', lost);
    fresh.on('notification', ({ payload }) => {
      const word = read(payload);
      if (word !== null) for (const listener of listeners) listener(word);
    });
    try {
      await fresh.connect();
      await fresh.query(`listen ${channel}`);
      if (closed) return void (await fresh.end());
      client = fresh;
      pauseMs = firstPauseMs;
    } catch {
      fresh.removeAllListeners('end');
      void fresh.end().catch(() => undefined);
      again();
    }
  }

  function again(): void {
    if (closed || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      void connect();
    }, pauseMs * (0.5 + Math.random() / 2));
    timer.unref();
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }

  void connect();
  return {
    async publish(word) {
      // Told to nobody while the database is away: whoever relies on a word looks into the stores as well.
      await client?.query('select pg_notify($1, $2)', [channel, JSON.stringify(word)]).catch(() => undefined);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    isListening: () => client !== null,
    async close() {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      const open = client;
      client = null;
      await open?.end().catch(() => undefined);
    },
  };
}

function read(payload: string | undefined): FleetWord | null {
  try {
    return JSON.parse(payload ?? '') as FleetWord;
  } catch {
    return null;
  }
}
