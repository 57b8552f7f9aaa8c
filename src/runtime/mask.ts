export { maskSecret } from '../domain/setting/mask.ts';

/** The URL with its password hidden. Text that is no URL is hidden whole: whatever it is, it stood where a password may stand. */
export function maskPassword(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return '****';
  }
  if (parsed.password !== '') parsed.password = '****';
  for (const name of [...parsed.searchParams.keys()]) if (/pass|secret|token|key/i.test(name)) parsed.searchParams.set(name, '****');
  return parsed.toString();
}
