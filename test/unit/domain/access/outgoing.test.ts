import { isNetwork, isWithin, refuseAddress } from '../../../../src/domain/access/outgoing.ts';

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

test('what is no address lies in no network', () => {
  const networks = ['10.0.0.0/8'];
  expect([isWithin('10.1.2.3', networks), isWithin('somebody', networks), isWithin('11.0.0.1', networks)]).toEqual([true, false, false]);
});
