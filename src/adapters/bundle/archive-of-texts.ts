import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Sha256 } from '../../domain/ids.ts';
import { endOfArchive, paddingOf, tarHeader } from './tar-writer.ts';

/** A .tar.gz of texts, each a file of mode 0600 below one directory. @param texts by path, relative, with `/` */
export async function archiveOfTexts(directory: string, texts: ReadonlyMap<string, string>): Promise<Buffer> {
  const blocks = [...texts].flatMap(([path, text]) => {
    const bytes = Buffer.from(text, 'utf8');
    return [tarHeader({ path: `${directory}/${path}`, type: 'file', mode: 0o600, size: bytes.length, sha256: '' as Sha256 }), bytes, paddingOf(bytes.length)];
  });
  return promisify(gzip)(Buffer.concat([...blocks, endOfArchive]));
}
