/**
 * What may be shown of a webhook's address: chat services put their secret into its path, so that all but the origin is one. Pure.
 * @param url that can be parsed
 */
export function shownAddress(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return pathname === '/' && search === '' ? origin : `${origin}/****`;
}

/** Why a text is no address for a webhook; null where it is one. */
export function refuseWebhookUrl(url: string): string | null {
  if (!URL.canParse(url)) return 'it is no URL';
  const { protocol, hash } = new URL(url);
  if (protocol !== 'https:' && protocol !== 'http:') return 'it begins with neither https:// nor http://';
  return hash === '' ? null : 'a fragment is never sent';
}
