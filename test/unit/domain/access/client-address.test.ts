import { clientAddress } from '../../../../src/domain/access/client-address.ts';

test.each([
  ['no proxy is trusted: who connected', '127.0.0.1', '203.0.113.7', [], '127.0.0.1'],
  ['no header', '127.0.0.1', undefined, ['127.0.0.1'], '127.0.0.1'],
  ['one trusted proxy', '127.0.0.1', '203.0.113.7', ['127.0.0.1'], '203.0.113.7'],
  ['the same as IPv4 within IPv6', '::ffff:127.0.0.1', '203.0.113.7', ['127.0.0.1'], '203.0.113.7'],
  ['made up by the client', '127.0.0.1', '1.1.1.1, 203.0.113.7', ['127.0.0.1'], '203.0.113.7'],
  ['two proxies of a network', '10.1.0.2', '2001:db8::7, 10.1.9.9', ['10.1.0.0/16'], '2001:db8::7'],
  ['only proxies: the farthest', '10.1.0.2', '10.1.9.9', ['10.1.0.0/16'], '10.1.9.9'],
  ['what is no address ends the way', '127.0.0.1', '203.0.113.7, unknown', ['127.0.0.1'], 'unknown'],
] as const)('%s', (_what, peer, header, trusted, client) => expect(clientAddress(peer, header, trusted)).toBe(client));
