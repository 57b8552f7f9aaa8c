import * as fs from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { FairleadError } from '../../../domain/failure.ts';
import type { RouterState } from '../../../ports/router.ts';
import { errnoOf } from '../../files/durable.ts';

/** @throws where the include lies outside of the release, or is not there. */
export async function readInclude(state: RouterState): Promise<string | null> {
  const { include } = state.declaration.nginx;
  if (include === null) return null;
  const file = resolve(state.releaseDir, include);
  if (!file.startsWith(resolve(state.releaseDir) + sep)) {
    throw new FairleadError({ class: 'release', code: 'router_config_invalid', message: `router.nginx.include is ${include}, which is outside of the release` });
  }
  try {
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    throw new FairleadError({ class: 'release', code: 'router_config_invalid', message: `router.nginx.include names ${file}, which cannot be read (${errnoOf(error)})`, hint: 'put the file into the bundle' }, { cause: error });
  }
}
