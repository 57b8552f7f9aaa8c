import { readEvents } from '../../../src/cli/event-stream.ts';

async function eventsOf(...chunks: string[]): Promise<unknown[]> {
  const events: unknown[] = [];
  const bytes = chunks.map((chunk) => Buffer.from(chunk, 'latin1'));
  for await (const event of readEvents((async function* () { yield* bytes; })())) events.push(event);
  return events;
}

test('an event that comes in pieces, cut anywhere, is read as one', async () => {
  const whole = 'id: 7\nevent: step\ndata: {"a":\ndata: 1}\n\n';
  for (let cut = 1; cut < whole.length; cut += 1) {
    expect(await eventsOf(whole.slice(0, cut), whole.slice(cut))).toEqual([{ id: '7', event: 'step', data: '{"a":\n1}' }]);
  }
});

test('comments, which keep the connection alive, are no events; the id stays for the next one', async () => {
  expect(await eventsOf(': ping\n\nid: 1\ndata: a\n\n: ping\n\ndata: b\n\n')).toEqual([
    { id: '1', event: 'message', data: 'a' },
    { id: '1', event: 'message', data: 'b' },
  ]);
});

test('lines that end in CR LF, also when the two are torn apart', async () => {
  expect(await eventsOf('data: a\r', '\n\r', '\ndata: b\r\n\r\n')).toEqual([
    { id: '', event: 'message', data: 'a' },
    { id: '', event: 'message', data: 'b' },
  ]);
});

test('an event that the end of the stream cut off is dropped', async () => {
  expect(await eventsOf('data: whole\n\ndata: ha')).toEqual([{ id: '', event: 'message', data: 'whole' }]);
});

test('a character torn apart between two chunks is whole', async () => {
  const bytes = Buffer.from('data: ü\n\n', 'utf8').toString('latin1');
  expect(await eventsOf(bytes.slice(0, 7), bytes.slice(7))).toEqual([{ id: '', event: 'message', data: 'ü' }]);
});
