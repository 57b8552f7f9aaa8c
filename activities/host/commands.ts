import type { InstanceName, ReleaseId } from '../../src/domain/ids.ts';
import type { Command } from './dependencies.ts';

/** Commands about one instance. */
export interface InstanceCommand extends Command {
  readonly instance: InstanceName;
}
export interface InstanceReleaseCommand extends InstanceCommand {
  readonly releaseId: ReleaseId;
}
