import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FairleadError } from '../../../domain/failure.ts';
import type { ReleaseId } from '../../../domain/ids.ts';
import type { CommandOptions, CommandResult } from '../../../ports/command-runner.ts';
import type { InstanceSpec } from '../../../ports/service-manager.ts';
import * as argv from './commands.ts';
import { composeNames, imageIn, releaseImage } from './compose-file.ts';
import { imageMissing, unreachable } from './errors.ts';
import * as parse from './parse.ts';

/** A start may pull the image, or load it from the release. */
export const imageLimitMs = 600_000;

/**
 * The image that an instance runs in: its release's own (`image.tar` at the root of the bundle), else `image`, else the one in which the instance ran last.
 * @param run asks the daemon
 */
export function createImages({ root, image, run }: { root: string; image: string | null; run: (command: readonly string[], options?: Partial<CommandOptions>) => Promise<CommandResult> }) {
  /** Loads or imports the release's image where the daemon does not have it. @throws `compose_image_missing`, `release_image_invalid`, `docker_unreachable` */
  async function demand(spec: InstanceSpec): Promise<string> {
    if (!existsSync(imageFile(spec))) {
      const used = lastImage(spec);
      if (used !== null) return used;
      throw imageMissing(spec);
    }
    const own = releaseImage(root, spec);
    const there = await run(argv.inspectImageCommand(own));
    if (there.exitCode === 0) return own;
    if (!parse.saysNoSuchImage(there.stderr)) throw unreachable(there);
    const loaded = await run(argv.loadImageCommand(imageFile(spec)), { timeoutMs: imageLimitMs });
    const name = loaded.exitCode === 0 ? parse.parseLoaded(loaded.stdout) : null;
    // A tar of `docker save` is loaded; one of a file system (`docker export`) is refused by that, and imported.
    const made = name === null ? await run(argv.importImageCommand(imageFile(spec), own), { timeoutMs: imageLimitMs }) : await run(argv.tagImageCommand(name, own));
    if (made.exitCode === 0) {
      await pruneImages(spec);
      return own;
    }
    throw new FairleadError({
      class: 'release',
      code: 'release_image_invalid',
      message: `${imageFile(spec)} was taken neither by docker load (${loaded.summary}) nor by docker import (${made.summary})`,
      hint: 'Make it with `docker save NAME -o image.tar`.',
    });
  }

  /** Images go with their releases: here, because the manager is not told when a release is removed. One that a container still uses stays. */
  async function pruneImages(spec: InstanceSpec): Promise<void> {
    const { project } = composeNames(root, spec);
    const kept = (await fs.readdir(dirname(spec.releaseDir))).map((name) => releaseImage(root, { product: spec.product, releaseId: name as ReleaseId }));
    const { stdout } = await run(argv.listTagsCommand(project));
    const images = stdout.split('\n').filter((tag) => tag !== '').map((tag) => `${project}:${tag}`);
    for (const image of images.filter((name) => !kept.includes(name))) await run(argv.removeImageCommand(image));
  }

  /** Its name, without asking the daemon. @throws `compose_image_missing` */
  const nameOf = (spec: InstanceSpec): string => {
    const name = existsSync(imageFile(spec)) ? releaseImage(root, spec) : lastImage(spec);
    if (name === null) throw imageMissing(spec);
    return name;
  };

  /** Who recovers a host by hand has its files, and not the agent's settings. */
  function lastImage(spec: InstanceSpec): string | null {
    const { composeFile: file, project } = composeNames(root, spec);
    if (image !== null) return image;
    const last = existsSync(file) ? imageIn(readFileSync(file, 'utf8')) : null;
    // That of another release is not for this one.
    return last === null || last.startsWith(`${project}:`) ? null : last;
  }

  return { demand, nameOf };
}

const imageFile = ({ releaseDir }: Pick<InstanceSpec, 'releaseDir'>): string => join(releaseDir, 'image.tar');
