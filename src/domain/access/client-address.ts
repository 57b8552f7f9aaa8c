import { isWithin } from './outgoing.ts';

/**
 * Who a request comes from, where proxies stand in front: the addresses on its way, from the one that connected back through `X-Forwarded-For`, as far as proxies that are trusted vouch for the next one.
 * The first that is none of them is the client; whatever stands before it in the header anybody could have written.
 *
 * @param peer who connected
 * @param forwardedFor the header's text, or undefined
 * @param trusted addresses and networks of the proxies; with none the peer is the client
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, trusted: readonly string[]): string {
  const way = [peer, ...(forwardedFor ?? '').split(',').map((part) => part.trim()).filter((part) => part !== '').reverse()];
  const first = way.findIndex((address) => !isWithin(address, trusted));
  return (first === -1 ? way.at(-1) : way[first]) ?? peer;
}
