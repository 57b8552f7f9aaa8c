import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { agentEntry, bundleEntry } from '../../src/runtime/build-agent.ts';
import { agentFile, commandsFile } from '../../src/runtime/home.ts';
import { project } from './project.ts';

export interface NodeProgram {
  /** Below the artifact's top. */
  readonly path: string;
  readonly bytes: number;
  readonly metafile: Metafile;
}

/** Where a node's programs begin. `tsconfig.node.json` names the same files. */
export const nodeEntries = { [agentFile]: agentEntry, [commandsFile]: 'src/cli/node-main.ts' } as const;

/** Writes what a node's artifact holds into an empty directory: two programs of one file each, the command that starts them, the manifest. */
export async function stageNode(directory: string): Promise<NodeProgram[]> {
  const programs: NodeProgram[] = [];
  for (const [path, entry] of Object.entries(nodeEntries)) {
    const { text, metafile } = await bundleEntry(entry);
    await fs.mkdir(dirname(join(directory, path)), { recursive: true });
    await fs.writeFile(join(directory, path), text);
    programs.push({ path, bytes: text.length, metafile });
  }
  await fs.mkdir(join(directory, 'bin'), { recursive: true });
  await fs.copyFile(join(project, 'deploy/release/fairlead-node'), join(directory, 'bin/fairlead'));
  await fs.chmod(join(directory, 'bin/fairlead'), 0o755);
  await fs.copyFile(join(project, 'deploy/release/fairlead.yaml'), join(directory, 'fairlead.yaml'));
  return programs;
}
