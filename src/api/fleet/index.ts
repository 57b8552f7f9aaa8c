import { FairleadError } from '../../domain/failure.ts';
import { fleetPath } from '../../domain/fleet/protocol.ts';
import type { Api } from '../api.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { RateLimits } from '../rate-limits.ts';
import { createHelloHandler, type HelloHandler } from './hello.ts';
import { createFleetSessions, type FleetSessions } from './sessions.ts';
import { acceptFleetConnections } from './upgrade.ts';

export interface Fleet {
  readonly sessions: FleetSessions;
  readonly hello: HelloHandler;
}

/** The fleet connection of this copy of the API: it takes connections once the server listens, and ends them when it closes. */
export function createFleet(app: Api, dependencies: ApiDependencies, limits: RateLimits): Fleet {
  const { stores, settings } = dependencies;
  const sessions = createFleetSessions(dependencies);
  const hello = createHelloHandler(dependencies);
  acceptFleetConnections(app, dependencies, sessions, hello, limits);

  // Every copy looks: whichever held a session may be gone. Spread, so that they do not all look at once.
  const sweepMs = settings.fleet?.sweepMs ?? 15_000;
  let timer: NodeJS.Timeout | null = null;
  let sweeping: Promise<void> = Promise.resolve();
  const sweep = async (): Promise<void> => {
    try {
      for (const session of await stores.sessions.endSilent()) {
        app.log.warn({ host: session.host, session: session.id, copy: session.copy, lastHeardAt: session.lastHeardAt }, 'nothing was heard of a host for too long');
        await sessions.announce(session);
      }
      for (const host of await stores.fleet.endPastMaintenance()) {
        const detail = { why: 'its end has passed' };
        await stores.audit.append({ at: new Date().toISOString(), event: 'host.maintenance_ended', actor: 'fairlead', subject: `host/${host}`, runId: null, detail });
      }
    } catch (error) {
      app.log.warn({ err: error }, 'could not look for hosts that have gone silent; trying again');
    }
  };
  const next = (): void => {
    timer = setTimeout(() => (sweeping = sweep().finally(next)), sweepMs * (0.75 + Math.random() / 2));
    timer.unref();
  };
  app.addHook('onListen', async () => next());
  app.addHook('onClose', async () => {
    await sweeping;
    if (timer !== null) clearTimeout(timer);
    sessions.close();
    await hello.settled();
  });

  app.get(
    fleetPath,
    {
      schema: {
        tags: ['hosts'],
        summary: 'The connection of a host (WebSocket, RFC 6455)',
        description: 'An agent shows its key, `x-fairlead-host` and `x-fairlead-boot-id` with the upgrade, then sends `{"type":"hello","id":n,"hello":HostHelloBody}` and is answered with `heard` or `refused` and the same id. At most 1 MiB a message; both sides ping every 15 seconds. Where no upgrade gets through, `POST /api/hosts/{id}/hello` says the same.',
      },
    },
    async () => {
      throw new FairleadError({ class: 'request', code: 'upgrade_required', message: `GET ${fleetPath} is a WebSocket, and the request asked for none. A proxy in between may have taken the upgrade away.`, hint: 'Let the proxy pass Upgrade and Connection on, or leave it: agents then say hello over HTTP.' });
    },
  );
  return { sessions, hello };
}
