import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RunId } from '../domain/ids.ts';
import type { RunEvent } from '../domain/run/event.ts';
import type { RunStore } from '../ports/control-stores.ts';
import type { ApiServerSettings } from './dependencies.ts';

const batch = 200;
/** A run that was ended from outside leaves no `run_ended`: once its row says that it is over, the stream waits this long for it. */
const lastWordsMs = 5_000;

const isEnd = (event: RunEvent | undefined): boolean => event?.kind === 'run_ended' || event?.kind === 'recovered';

export interface EventStreams {
  /** Answers with the run's events from `afterSequence` on, until the run has ended, the client has left or `close` is called. */
  serve(runId: RunId, afterSequence: number, request: FastifyRequest, reply: FastifyReply): Promise<void>;
  readonly open: number;
  /** Ends every stream; clients come back with `Last-Event-ID`, to another copy. */
  close(): void;
}

/** Streams look into PostgreSQL instead of being told: any copy of the API can serve any run, also one that was started long ago. */
export function createEventStreams(runs: RunStore, settings: ApiServerSettings): EventStreams {
  const pollMs = settings.eventPollMs ?? 500;
  const heartbeatMs = settings.streamHeartbeatMs ?? 15_000;
  const closing = new AbortController();
  let open = 0;

  async function serve(runId: RunId, afterSequence: number, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    // Whoever has seen the end and asks again is answered at once, not after the wait for last words.
    const seen = afterSequence === 0 ? undefined : (await runs.events(runId, afterSequence - 1, 1))[0];
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const stop = AbortSignal.any([gone.signal, closing.signal]);
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no', // nginx would hold the events back.
      'x-request-id': request.id,
      connection: 'close',
    });
    const write = async (text: string): Promise<void> => {
      if (!reply.raw.write(text)) await once(reply.raw, 'drain', { signal: stop });
    };
    open += 1;
    try {
      await write('retry: 2000\n\n');
      await follow(runId, afterSequence, isEnd(seen), stop, write, request);
    } catch (error) {
      if (!stop.aborted) request.log.error({ err: error, runId }, 'an event stream broke');
    } finally {
      open -= 1;
      reply.raw.end();
    }
  }

  async function follow(runId: RunId, afterSequence: number, seenEnd: boolean, stop: AbortSignal, write: (text: string) => Promise<void>, request: FastifyRequest): Promise<void> {
    let last = afterSequence;
    let ended = seenEnd;
    let overSince: number | null = null;
    let wroteAt = Date.now();
    while (!stop.aborted) {
      let events: RunEvent[] = [];
      try {
        events = await runs.events(runId, last, batch);
        if (events.length === 0 && !ended && overSince === null && (await runs.find(runId))?.endedAt != null) overSince = Date.now();
      } catch (error) {
        // The database may come back, and the client would only ask again.
        request.log.warn({ err: error, runId }, 'events could not be read; trying again');
      }
      for (const event of events) {
        await write(`id: ${event.sequence}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
        last = event.sequence;
        ended ||= isEnd(event);
        wroteAt = Date.now();
      }
      if (events.length === batch) continue;
      if (ended || (overSince !== null && Date.now() - overSince >= lastWordsMs)) return;
      if (Date.now() - wroteAt >= heartbeatMs) {
        await write(': alive\n\n');
        wroteAt = Date.now();
      }
      await sleep(pollMs, undefined, { signal: stop });
    }
  }

  return {
    serve,
    get open() {
      return open;
    },
    close: () => closing.abort(),
  };
}
