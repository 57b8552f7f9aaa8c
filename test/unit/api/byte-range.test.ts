import { readByteRange } from '../../../src/api/byte-range.ts';

// RFC 9110, section 14.
test.each([
  [undefined, 10, 'whole'],
  ['bytes=0-4', 10, { first: 0, last: 4 }],
  ['bytes=4-', 10, { first: 4, last: 9 }],
  ['bytes=-3', 10, { first: 7, last: 9 }],
  ['bytes=-30', 10, { first: 0, last: 9 }],
  ['bytes=9-9', 10, { first: 9, last: 9 }],
  ['bytes=5-500', 10, { first: 5, last: 9 }],
  ['Bytes = 0 - 4', 10, { first: 0, last: 4 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=5-4', 10, 'whole'],
  ['bytes=-', 10, 'whole'],
  ['bytes=0-1,3-4', 10, 'whole'],
  ['lines=0-4', 10, 'whole'],
  ['bytes=a-b', 10, 'whole'],
])('%s of %d bytes: %j', (header, size, expected) => expect(readByteRange(header, size)).toEqual(expected));
