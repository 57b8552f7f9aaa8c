import { servedProblem, summarize, targetsOf, type Handshake, type RouterWorker, type ServedInput } from '../../../../src/domain/certificate/served.ts';

const [first, second] = targetsOf({ names: ['app.example.org'], ports: [443, 8443] }, '*') as [Handshake['target'], Handshake['target']];
const got = (target: Handshake['target'], ...chain: string[]): Handshake => ({ target, chain, protocol: 'TLSv1.3', error: null });
const failed = (target: Handshake['target']): Handshake => ({ target, chain: [], protocol: null, error: 'ECONNREFUSED' });
const worker = (pid: number, accepting = true): RouterWorker => ({ pid, startTicks: `${pid}0`, accepting });
const input = (change: Partial<ServedInput>): ServedInput => ({ expected: 'new', expectedChain: ['new', 'ca'], handshakes: [got(first, 'new', 'ca'), got(second, 'new', 'ca')], workersBefore: [worker(1)], workersNow: [worker(1, false), worker(2)], ...change });

test.each<[string, Partial<ServedInput>, string | undefined]>([
  ['the new one everywhere, by new workers, old ones end their work', {}, undefined],
  ['the new one everywhere, old workers gone', { workersNow: [worker(2)] }, undefined],
  ['a worker of the same pid that was started since', { workersBefore: [worker(2)], workersNow: [{ ...worker(2), startTicks: '99' }] }, undefined],
  ['a router that has no workers to tell apart', { workersNow: null, workersBefore: [] }, undefined],
  ['on the way back only what is served counts', { workersBefore: null, workersNow: [worker(1)] }, undefined],
  ['a root sent as well', { handshakes: [got(first, 'new', 'ca', 'root')] }, undefined],
  ['the old one everywhere', { handshakes: [got(first, 'old', 'ca'), got(second, 'old', 'ca')] }, 'reload_did_nothing'],
  ['nobody was asked', { handshakes: [] }, 'reload_did_nothing'],
  ['every worker is from before', { workersNow: [worker(1)] }, 'reload_did_nothing'],
  ['one listener on the old one', { handshakes: [got(first, 'new', 'ca'), got(second, 'old', 'ca')] }, 'listener_stuck'],
  ['one handshake of many on the old one', { handshakes: [got(first, 'new', 'ca'), got(first, 'new', 'ca'), got(first, 'old', 'ca')] }, 'listener_stuck'],
  ['one worker from before beside the new ones', { workersNow: [worker(1), worker(2)] }, 'worker_stuck'],
  ['a handshake that failed', { handshakes: [got(first, 'new', 'ca'), failed(second)] }, 'handshake_failed'],
  ['without its chain', { handshakes: [got(first, 'new')] }, 'chain_not_served'],
])('%s', (_what, change, code) => expect(servedProblem(input(change))?.code).toBe(code));

test('what was served is told by place, with every certificate that was seen there', () => {
  expect(summarize([got(first, 'new'), got(first, 'old'), failed(second), failed(second)])).toEqual([
    { target: first, handshakes: 2, fingerprints: { new: 1, old: 1 }, protocols: ['TLSv1.3'], errors: [] },
    { target: second, handshakes: 2, fingerprints: {}, protocols: [], errors: ['ECONNREFUSED'] },
  ]);
});

test.each([['*', '127.0.0.1'], ['0.0.0.0', '127.0.0.1'], ['[::]', '::1'], ['192.0.2.7', '192.0.2.7'], ['[2001:db8::7]', '2001:db8::7']])('a router that listens on %s is asked at %s; a star by an example', (address, reached) => {
  expect(targetsOf({ names: ['*.example.org'], ports: [443] }, address)).toEqual([{ address: reached, port: 443, name: 'fairlead.example.org' }]);
});
