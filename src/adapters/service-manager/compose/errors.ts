import { FairleadError } from '../../../domain/failure.ts';
import type { CommandResult } from '../../../ports/command-runner.ts';
import type { InstanceSpec } from '../../../ports/service-manager.ts';

export const programMissing = (spec: InstanceSpec, why: string): FairleadError =>
  new FairleadError({
    class: 'release',
    code: 'command_not_found',
    message: `${spec.instance} cannot start: ${spec.command[0] || '(empty command)'} is neither in ${spec.releaseDir} nor in the image${why === '' ? '' : ` (${why})`}`,
    hint: 'correct services.<name>.command in fairlead.yaml, or use an image that has the program',
  });

export const imageMissing = (spec: InstanceSpec): FairleadError =>
  new FairleadError({
    class: 'host',
    code: 'compose_image_missing',
    message: `${spec.instance} cannot start: release ${spec.releaseId} carries no image.tar, and no image is set for this host.`,
    hint: 'Set FAIRLEAD_COMPOSE_IMAGE (host.composeImage) to an image with the programs that the product needs, or put an image.tar at the root of the bundle.',
  });

export const unreachable = ({ summary }: CommandResult): FairleadError =>
  new FairleadError({ class: 'host', code: 'docker_unreachable', message: `the Docker daemon could not be asked: ${summary}`, hint: 'see `docker version`; the agent has to be root, or in the group docker' }, { retryable: true });
