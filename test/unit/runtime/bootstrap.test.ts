import { bootstrap, type Part } from '../../../src/runtime/bootstrap.ts';

const told: string[] = [];
const say = ({ part }: { part: string }, message: string): void => void told.push(`${part} ${message}`);
beforeEach(() => void told.splice(0));

/** Parts that write down what happens to them. */
function fakes(log: string[], broken: { start?: string; stop?: string } = {}): Part[] {
  return ['database', 'worker', 'api'].map((name) => ({
    name,
    start: async () => {
      if (broken.start === name) throw new Error(`${name} does not start`);
      log.push(`start ${name}`);
      return async () => {
        log.push(`stop ${name}`);
        if (broken.stop === name) throw new Error(`${name} does not stop`);
      };
    },
  }));
}

describe('the start sequence', () => {
  test('goes in order, and back in reverse', async () => {
    const log: string[] = [];
    const started = await bootstrap(fakes(log), say);
    await started.stop();
    expect(log).toEqual(['start database', 'start worker', 'start api', 'stop api', 'stop worker', 'stop database']);
  });

  test('a part that fails to start: those before it are stopped again, and its own error is thrown', async () => {
    const log: string[] = [];
    await expect(bootstrap(fakes(log, { start: 'api' }), say)).rejects.toThrow('api does not start');
    expect(log).toEqual(['start database', 'start worker', 'stop worker', 'stop database']);
  });

  test('a part that fails to stop: the others are stopped all the same, and the failure is told', async () => {
    const log: string[] = [];
    const started = await bootstrap(fakes(log, { stop: 'worker' }), say);
    await expect(started.stop()).rejects.toThrow('worker does not stop');
    expect(log.slice(3)).toEqual(['stop api', 'stop worker', 'stop database']);
    expect(told).toEqual(['worker did not stop cleanly']);
  });

  test('stopped twice, it is stopped once', async () => {
    const log: string[] = [];
    const started = await bootstrap(fakes(log), say);
    await Promise.all([started.stop(), started.stop()]);
    expect(log.filter((line) => line.startsWith('stop'))).toHaveLength(3);
  });

  test('a part with nothing to stop is fine', async () => {
    const started = await bootstrap([{ name: 'check', start: async () => null }], say);
    await expect(started.stop()).resolves.toBeUndefined();
  });
});
