import type { ExtractionLimits, FileEntry } from './artifact.ts';
import { parentOf, utf8Length } from './path.ts';
import { refuseBundle, shownPath } from './refusal.ts';

/** As many links as Linux follows in one path before it says ELOOP (path_resolution(7)). */
const maxFollowed = 40;

/**
 * Refuses a symbolic link that leaves the release. The target is resolved name by name through the bundle's own links: read as text alone,
 * `deep/up/../x` looks like it stays inside where `deep/up` is a link to the top.
 */
export function checkLink(path: string, target: string, entries: ReadonlyMap<string, FileEntry>, limits: Pick<ExtractionLimits, 'maxPathBytes'>): void {
  const shown = `The link ${shownPath(path)} to ${shownPath(target)}`;
  if (target === '' || /[\u0000-\u001f\u007f\\]/.test(target) || !target.isWellFormed()) throw refuseBundle('bundle_link_malformed', `${shown} has no plain target.`);
  if (utf8Length(target) > limits.maxPathBytes) throw refuseBundle('bundle_path_too_long', `${shown} has a target of more than ${limits.maxPathBytes} bytes.`);
  if (target.startsWith('/')) throw refuseBundle('bundle_link_absolute', `${shown} is absolute.`);

  const at = parentOf(path) === '' ? [] : parentOf(path).split('/');
  const ahead = target.split('/').reverse();
  for (let followed = 0; ahead.length > 0; ) {
    const name = ahead.pop();
    if (name === undefined || name === '' || name === '.') continue;
    if (name === '..') {
      if (at.pop() === undefined) throw refuseBundle('bundle_link_escapes', `${shown} leaves the release.`);
      continue;
    }
    at.push(name);
    const here = entries.get(at.join('/'));
    if (here?.type !== 'symlink') continue;
    followed += 1;
    if (followed > maxFollowed) throw refuseBundle('bundle_link_loop', `${shown} goes through more than ${maxFollowed} links, or round in a loop.`);
    if (here.target.startsWith('/')) throw refuseBundle('bundle_link_absolute', `${shown} goes through the absolute link ${shownPath(here.path)}.`);
    at.pop();
    ahead.push(...here.target.split('/').reverse());
  }
}
