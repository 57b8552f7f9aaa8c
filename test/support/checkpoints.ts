import { AsyncLocalStorage } from 'node:async_hooks';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HostDependencies } from '../../activities/host/dependencies.ts';
import type { AroundActivity } from '../../src/adapters/temporal/activity-poller.ts';
import { FairleadError } from '../../src/domain/failure.ts';
import { triesEverything } from './requirement.ts';

/**
 * Places in an activity at which a test may step in. The agent and the control worker of a test ask at each of them what to do, and wait for the
 * answer: while the test thinks, nothing moves, so that whatever it kills dies exactly there.
 *
 * `before`: the attempt has arrived and nothing was done. `during`: its first change has been made, and nothing after it. `after`: everything was
 * done, and nobody has been told.
 */
export type Point = 'before' | 'during' | 'after';
export interface Checkpoint {
  readonly program: 'agent' | 'control';
  readonly host: string;
  readonly activity: string;
  readonly direction: string;
  readonly attempt: number;
  readonly point: Point;
}
export const points: readonly Point[] = ['before', 'during', 'after'];

/** How long the upload of a client takes that stays for long. Seconds. A change waits for it, so that the whole of it is for a machine which is there for testing. */
export const uploadSeconds = triesEverything ? 20 : 4;

/**
 * Every activity at every point takes a quarter of an hour: that is for a machine which is there for testing (FAIRLEAD_REQUIRE_ALL=1). Elsewhere each
 * activity is tried at one of the points, the next one at another.
 */
export const tried = <Activity extends string>(activities: readonly Activity[]): (readonly [Point, Activity])[] =>
  activities.flatMap((activity, at) => (triesEverything ? points : [points[at % points.length] as Point]).map((point) => [point, activity] as const));

/** `go`: on. `fail`: the activity throws here. `twice`: (only `before`) the activity is run a second time after it has succeeded. */
export type Verdict = 'go' | 'fail' | 'twice';

const addressVariable = 'FAIRLEAD_TEST_CHECKPOINTS';

/** The test's side. `decide` may take its time, and may kill whoever asks. */
export async function startCheckpoints(decide: (at: Checkpoint) => Promise<Verdict> | Verdict) {
  const server = createServer((incoming, answer) => {
    let text = '';
    incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    incoming.on('end', () => {
      Promise.resolve(decide(JSON.parse(text) as Checkpoint)).then(
        (verdict) => answer.end(verdict),
        () => answer.end('go'),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    env: { [addressVariable]: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function ask(at: Checkpoint): Promise<Verdict> {
  const address = process.env[addressVariable];
  if (!address) throw new Error(`${addressVariable} is not set`);
  return new Promise((resolve, reject) => {
    const sent = request(address, { method: 'POST', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text as Verdict));
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(at));
  });
}

/** A file with how many milliseconds a host believes to be ahead: its activities go by that, nothing else does. */
export const clockVariable = 'FAIRLEAD_TEST_CLOCK';
const aheadMs = (file: string): number => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0);

/** A JSON file with what names resolve to on a host; those that it does not have resolve to nothing. Left out, the machine's own resolver is asked. */
export const namesVariable = 'FAIRLEAD_TEST_NAMES';
const addressesOf = (file: string, name: string): readonly string[] => (JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]>)[name] ?? [];

/** JSON: which hosts of a stack have another router than the rest, and which. */
export const routersVariable = 'FAIRLEAD_TEST_ROUTERS';

interface Scope {
  readonly at: Omit<Checkpoint, 'point'>;
  told: boolean;
}
const scopes = new AsyncLocalStorage<Scope>();

const injected = (activity: string): FairleadError => new FairleadError({ class: 'host', code: 'injected', message: `a test made ${activity} fail`, hint: 'none' });

/** Stands around every attempt of the program's activities. */
export function createAround(program: 'agent' | 'control', host: string): AroundActivity {
  return async function around({ name: activity, attempt, input }, run) {
    const direction = (input as { direction?: string } | undefined)?.direction ?? 'do';
    const at = { program, host, activity, direction, attempt };
    return scopes.run({ at, told: false }, async () => {
      const scope = scopes.getStore() as Scope;
      const verdict = await ask({ ...at, point: 'before' });
      if (verdict === 'fail') throw injected(activity);
      let value = await run();
      if (verdict === 'twice') value = await run();
      if (!scope.told) {
        scope.told = true;
        await ask({ ...scope.at, point: 'during' });
      }
      if ((await ask({ ...scope.at, point: 'after' })) === 'fail') throw injected(activity);
      return value;
    });
  };
}

/** Calls that change the host. The fence is left out: every activity of a run may write it, and it says nothing about the activity. */
const changing = /^(write(?!Fence)|stage|backUp|commit|reload|remove|extract|activate|deactivate|take|download|verify|start|stop|apply|run|restore|prune|prepare|forget)/;

/** The same host, where the first change of every activity is a checkpoint. */
export function wrapHost(host: HostDependencies): HostDependencies {
  const wrapPort = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name, receiver) {
        const member = Reflect.get(target, name, receiver) as unknown;
        if (typeof member !== 'function' || typeof name !== 'string' || !changing.test(name)) return member;
        return (...args: unknown[]): unknown => {
          const result = (member as (...given: unknown[]) => unknown).apply(target, args);
          const scope = scopes.getStore();
          if (!(result instanceof Promise) || scope === undefined || scope.told) return result;
          return result.then(async (value: unknown) => {
            if (!scope.told) {
              scope.told = true;
              await ask({ ...scope.at, point: 'during' });
            }
            return value;
          });
        };
      },
    });
  const wrapped = Object.fromEntries(Object.entries(host).map(([name, port]) => [name, typeof port === 'object' && port !== null ? wrapPort(port as object) : port])) as unknown as HostDependencies;
  const [clockFile, namesFile] = [process.env[clockVariable], process.env[namesVariable]];
  return {
    ...wrapped,
    ...(clockFile === undefined ? {} : { now: () => new Date(Date.now() + aheadMs(clockFile)) }),
    ...(namesFile === undefined ? {} : { origins: { ...host.origins, resolve: async (name) => addressesOf(namesFile, name) } }),
  };
}
