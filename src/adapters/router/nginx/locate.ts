import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** Where nginx lies: on the PATH, else in the places where distributions put it, which a service's PATH often lacks. Null where there is none. */
export async function locateNginx(path = process.env['PATH'] ?? ''): Promise<string | null> {
  for (const directory of [...path.split(':').filter(Boolean), '/usr/sbin', '/usr/local/sbin', '/usr/local/nginx/sbin']) {
    const file = join(directory, 'nginx');
    try {
      await fs.access(file, constants.X_OK);
      return file;
    } catch {
      // Not in this one.
    }
  }
  return null;
}
