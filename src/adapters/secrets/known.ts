/** Shorter ones are words: hiding them would hide what was said. */
const leastLength = 6;
const leastCodedLength = 8;
const hidden = '****';

/**
 * Every way in which a value gets into texts that others write: as it is, within JSON, within an address, and in base64 at whatever place of a longer text it stood
 * (`user:password` of an Authorization header).
 */
export function formsOf(secret: string): string[] {
  if (secret.length < leastLength) return [];
  const coded = [0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret, 'utf8')]);
    // Only those characters that no neighbour has a part in.
    const whole = bytes.toString('base64').replace(/=+$/, '').slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6));
    return whole.length < leastCodedLength ? [] : [whole, whole.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [...new Set([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...coded])];
}

/** The password of an address stands alone as well. */
export function partsOf(secret: string): string[] {
  if (!URL.canParse(secret)) return [secret];
  const { password } = new URL(secret);
  return password === '' ? [secret] : [secret, password, safeDecode(password)];
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Replaces every form of every secret. Pure: made once for a set of secrets, since most sets stay the same for long. */
export function hiderOf(secrets: Iterable<string>): (text: string) => string {
  // The longest first: one may be the beginning of another.
  const forms = [...new Set([...secrets].flatMap(partsOf).flatMap(formsOf))].sort((a, b) => b.length - a.length);
  if (forms.length === 0) return (text) => text;
  const pattern = new RegExp(forms.map((form) => form.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
  return (text) => text.replace(pattern, hidden);
}
