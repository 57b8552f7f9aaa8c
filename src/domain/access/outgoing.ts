/**
 * Which addresses nobody may have Fairlead ask, whatever a rollout or a manifest says: on them answer parts of the machine or of the cloud that trust whoever
 * reaches them. Private and loopback addresses are allowed: that is where Prometheus stands.
 *
 * RFC 3927 and RFC 4291 section 2.5.6 (link-local), RFC 5771 and RFC 4291 section 2.7 (multicast), RFC 1122 section 3.2.1.3 (this network), and what clouds document of their
 * metadata services.
 */
const refused: readonly (readonly [string, string])[] = [
  ['169.254.169.254/32', 'a metadata service'],
  ['169.254.170.2/32', 'a metadata service'],
  ['100.100.100.200/32', 'a metadata service'],
  ['192.0.0.192/32', 'a metadata service'],
  ['168.63.129.16/32', 'a metadata service'],
  ['fd00:ec2::254/128', 'a metadata service'],
  ['fd20:ce::254/128', 'a metadata service'],
  ['169.254.0.0/16', 'link-local'],
  ['fe80::/10', 'link-local'],
  ['0.0.0.0/8', 'unspecified'],
  ['::/128', 'unspecified'],
  ['224.0.0.0/4', 'multicast'],
  ['ff00::/8', 'multicast'],
  ['255.255.255.255/32', 'broadcast'],
];

/**
 * Why an IP address is not asked, or null.
 * @param address IPv4 or IPv6, also with a zone (`fe80::1%eth0`); what is no address is refused
 * @param allowed addresses and networks (`169.254.10.0/24`) that the operator allows all the same
 */
export function refuseAddress(address: string, allowed: readonly string[] = []): string | null {
  const bytes = readAddress(address);
  if (bytes === null) return 'no IP address';
  if (allowed.some((network) => within(bytes, network))) return null;
  return refused.find(([network]) => within(bytes, network))?.[1] ?? null;
}

/** Whether an address lies in one of the networks; what is no address lies in none. */
export function isWithin(address: string, networks: readonly string[]): boolean {
  const bytes = readAddress(address);
  return bytes !== null && networks.some((network) => within(bytes, network));
}

/** Whether a text is an address or a network that {@link refuseAddress} takes as allowed. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = readAddress(address);
  return rest.length === 0 && bytes !== null && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (readIpv4(address) === null ? 128 : 32)));
}

function within(bytes: readonly number[], network: string): boolean {
  const [base = '', bits] = network.split('/');
  const start = readAddress(base);
  if (start === null) return false;
  const four = readIpv4(base) !== null;
  const length = (bits === undefined ? (four ? 32 : 128) : Number(bits)) + (four ? 96 : 0);
  for (let bit = 0; bit < length; bit += 1) if (bitOf(bytes, bit) !== bitOf(start, bit)) return false;
  return true;
}

const bitOf = (bytes: readonly number[], bit: number): number => ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;

/** Sixteen bytes; IPv4 as ::ffff:a.b.c.d, and so the ways to write IPv4 within IPv6 (RFC 4291 section 2.5.5, NAT64 of RFC 6052, 6to4 of RFC 3056). */
function readAddress(text: string): readonly number[] | null {
  const four = readIpv4(text);
  if (four !== null) return mapped(four);
  const six = readIpv6(text.split('%')[0] ?? '');
  if (six === null) return null;
  const zeros = (from: number, to: number): boolean => six.slice(from, to).every((byte) => byte === 0);
  if (zeros(0, 12) && !zeros(12, 15)) return mapped(six.slice(12));
  if (six[0] === 0 && six[1] === 0x64 && six[2] === 0xff && six[3] === 0x9b && zeros(4, 12)) return mapped(six.slice(12));
  if (six[0] === 0x20 && six[1] === 0x02) return mapped(six.slice(2, 6));
  return six;
}

const mapped = (four: readonly number[]): readonly number[] => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...four];

function readIpv4(text: string): readonly number[] | null {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255) ? parts.map(Number) : null;
}

function readIpv6(text: string): readonly number[] | null {
  const [head = '', tail, ...rest] = text.split('::');
  if (rest.length > 0 || !text.includes(':')) return null;
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  if (before === null || after === null) return null;
  const missing = 16 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 2) return null;
  return [...before, ...Array<number>(missing).fill(0), ...after];
}

function groups(text: string): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  for (const [at, part] of text.split(':').entries()) {
    const four = at === text.split(':').length - 1 ? readIpv4(part) : null;
    if (four !== null) bytes.push(...four);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) bytes.push(Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255);
    else return null;
  }
  return bytes;
}
