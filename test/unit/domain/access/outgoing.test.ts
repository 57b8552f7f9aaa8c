import { clientAddress, isNetwork, isWithin, refuseAddress } from '../../../../src/domain/access/outgoing.ts';

test.each([
  ['169.254.169.254', 'a metadata service'],
  ['169.254.0.1', 'link-local'],
  ['::ffff:169.254.169.254', 'a metadata service'],
  ['::ffff:a9fe:a9fe', 'a metadata service'],
  ['64:ff9b::a9fe:a9fe', 'a metadata service'],
  ['2002:a9fe:a9fe::1', 'a metadata service'],
  ['fd00:ec2::254', 'a metadata service'],
  ['FE80::1%eth0', 'link-local'],
  ['febf::1', 'link-local'],
  ['0.0.0.0', 'unspecified'],
  ['::', 'unspecified'],
  ['224.0.0.1', 'multicast'],
  ['ff02::1', 'multicast'],
  ['100.100.100.200', 'a metadata service'],
  ['255.255.255.255', 'broadcast'],
  ['metadata.internal', 'no IP address'],
  ['1.2.3', 'no IP address'],
  [':::1', 'no IP address'],
])('%s is refused: %s', (address, why) => expect(refuseAddress(address)).toBe(why));

test.each(['127.0.0.1', '10.0.0.5', '192.168.1.9', '169.253.255.255', '169.255.0.1', '::1', 'fec0::1', '2001:db8::1', 'fd00:ec2::253'])('%s may be asked', (address) => expect(refuseAddress(address)).toBeNull());

test('what the operator allows may be asked, and its neighbours may not', () => {
  expect(refuseAddress('169.254.10.9', ['169.254.10.0/24'])).toBeNull();
  expect(refuseAddress('::ffff:169.254.10.9', ['169.254.10.0/24'])).toBeNull();
  expect(refuseAddress('169.254.11.9', ['169.254.10.0/24'])).toBe('link-local');
  expect(refuseAddress('fe80::9', ['fe80::/64'])).toBeNull();
});

test.each([['10.0.0.0/8', true], ['::1', true], ['fe80::/10', true], ['10.0.0.0/33', false], ['ten', false], ['10.0.0.1/', false], ['::/129', false]])('%s is a network: %s', (text, is) => expect(isNetwork(text)).toBe(is));

describe('who asks behind proxies', () => {
  const trusted = ['10.0.0.0/8', '::1'];
  test.each<{ name: string; remote: string; forwarded: string | undefined; client: string }>([
    { name: 'nobody stands in between', remote: '192.0.2.7', forwarded: undefined, client: '192.0.2.7' },
    { name: 'a client that is no proxy claims to be another: it is itself', remote: '192.0.2.7', forwarded: '198.51.100.1', client: '192.0.2.7' },
    { name: 'a proxy says who connected to it', remote: '10.0.0.2', forwarded: '192.0.2.7', client: '192.0.2.7' },
    { name: 'what stands before the first address that is no proxy may be made up', remote: '10.0.0.2', forwarded: '127.0.0.1, 192.0.2.7, 10.0.0.3', client: '192.0.2.7' },
    { name: 'a proxy that says nothing', remote: '::1', forwarded: undefined, client: '::1' },
    { name: 'IPv4 within IPv6, as a listener on both gives it', remote: '::ffff:10.0.0.2', forwarded: '2001:db8::1', client: '2001:db8::1' },
  ])('$name', ({ remote, forwarded, client }) => expect(clientAddress(remote, forwarded, trusted)).toBe(client));

  test('what is no address lies in no network', () => expect([isWithin('10.1.2.3', trusted), isWithin('somebody', trusted), isWithin('11.0.0.1', trusted)]).toEqual([true, false, false]));
});
