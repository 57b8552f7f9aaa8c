import { FairleadError } from '../../domain/failure.ts';
import type { CommandRunner } from '../../ports/command-runner.ts';

/** Copies a file or a whole directory with owners, modes and times (cp(1) `-a`), which Node's own copy does not keep. */
export function createCopyTree(commands: CommandRunner): (from: string, to: string) => Promise<void> {
  return async (from, to) => {
    const result = await commands.run(['cp', '-a', '-T', from, to], { timeoutMs: 3_600_000, env: { LC_ALL: 'C' } });
    if (result.exitCode === 0) return;
    if (/No space left on device|Disk quota exceeded/.test(result.stderr)) {
      throw new FairleadError({
        class: 'host',
        code: 'disk_full',
        message: `Could not copy ${from} to ${to}: the disk is full.`,
        hint: `Make room in the file system of ${to} (df -h, df -i), then start the update again.`,
      });
    }
    throw new FairleadError({
      class: 'host',
      code: 'copy_failed',
      message: `Could not copy ${from} to ${to}: ${result.summary}`,
      hint: 'Look at free space and permissions of both places.',
    });
  };
}
