import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { FairleadError } from '../domain/failure.ts';
import type { RunId } from '../domain/ids.ts';
import type { RunEvent } from '../domain/run/event.ts';
import type { RunStore } from '../ports/control-stores.ts';
import type { ApiServerSettings } from './dependencies.ts';

const batch = 200;
/** A run that was ended from outside leaves no `run_ended`: once its row says that it is over, the stream waits this long for it. */
const lastWordsMs = 5_000;

const isEnd = (event: RunEvent | undefined): boolean => event?.kind === 'run_ended' || event?.kind === 'recovered';

/** How many streams there may be, and how long one may last. */
export interface StreamBounds {
  /** Of this copy of the API. Default 2000. */
  readonly most?: number;
  /** Of one key. Default 100. */
  readonly mostOfKey?: number;
  /** After this its client comes back with `Last-Event-ID`, perhaps to another copy. Default one hour. */
  readonly longestMs?: number;
  /** How long a client may take to read what was sent. Default 30000. */
  readonly stalledMs?: number;
}

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
  const { most = 2_000, mostOfKey = 100, longestMs = 3_600_000, stalledMs = 30_000 } = settings.streams ?? {};
  const ofKey = new Map<string, number>();
  let open = 0;

  async function serve(runId: RunId, afterSequence: number, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const key = request.identity?.id ?? '';
    if (open >= most) throw tooMany(`this copy of the API serves ${most} event streams, the most that it may`);
    if ((ofKey.get(key) ?? 0) >= mostOfKey) throw tooMany(`the key has ${mostOfKey} event streams, the most that one may`);
    open += 1;
    ofKey.set(key, (ofKey.get(key) ?? 0) + 1);
    try {
      // Whoever has seen the end and asks again is answered at once, not after the wait for last words.
      const seen = afterSequence === 0 ? undefined : (await runs.events(runId, afterSequence - 1, 1))[0];
      await write(runId, afterSequence, isEnd(seen), request, reply);
    } finally {
      open -= 1;
      const left = (ofKey.get(key) ?? 1) - 1;
      if (left > 0) ofKey.set(key, left);
      else ofKey.delete(key);
    }
  }

  async function write(runId: RunId, afterSequence: number, seenEnd: boolean, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const stop = AbortSignal.any([gone.signal, closing.signal, AbortSignal.timeout(longestMs)]);
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no', // nginx would hold the events back.
      'x-request-id': request.id,
      connection: 'close',
    });
    const send = async (text: string): Promise<void> => {
      if (reply.raw.write(text)) return;
      const stalled = setTimeout(() => reply.raw.destroy(), stalledMs);
      try {
        await once(reply.raw, 'drain', { signal: stop });
      } finally {
        clearTimeout(stalled);
      }
    };
    try {
      await send('retry: 2000\n\n');
      await follow(runId, afterSequence, seenEnd, stop, send, request);
    } catch (error) {
      if (!stop.aborted) request.log.error({ err: error, runId }, 'an event stream broke');
    } finally {
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

const tooMany = (what: string): FairleadError =>
  new FairleadError({ class: 'request', code: 'too_many_streams', message: `No further event stream: ${what}.`, hint: 'End those that nobody looks at, or ask for the run itself from time to time.' }, { retryable: true });
