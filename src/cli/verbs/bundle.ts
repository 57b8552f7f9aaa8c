import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Artifact } from '../../domain/bundle/artifact.ts';
import { bundleCreate, bundleInspect, bundleVerify } from '../bundle.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { renderPairs, renderTable } from '../table.ts';

export function registerBundle(program: Command, context: Context): void {
  const bundle = program.command('bundle').description('pack a release, and look into one');

  bundle
    .command('create')
    .description('pack a directory that holds a fairlead.yaml')
    .argument('<directory>')
    .requiredOption('--release <id>', 'the release id')
    .requiredOption('-o, --output <file>', 'the bundle, .tar.gz or .tar.zst')
    .option('--role <role>', 'controller or node (default: what the manifest says)')
    .option('--format <format>', 'gz or zst (default: told by the name)')
    .option('--json', 'print JSON')
    .action(async (directory: string, options: { release: string; output: string; role?: string; format?: string; json?: boolean }) => {
      const { json, output, ...rest } = options;
      const created = await bundleCreate({ ...rest, directory: resolve(context.cwd, directory), output: resolve(context.cwd, output) });
      if (json) return printJson(context, created);
      context.out(renderArtifact(created.file, created.artifact));
      context.note(`publish it: fairlead release publish ${output}`);
    });

  bundle
    .command('inspect')
    .description('what a bundle is and holds')
    .argument('<file>')
    .option('--files', 'list every file')
    .option('--json', 'print JSON')
    .action(async (file: string, options: { files?: boolean; json?: boolean }) => {
      const found = await bundleInspect(resolve(context.cwd, file));
      if (options.json) return printJson(context, options.files ? found : { ...found, fileList: undefined });
      context.out(renderArtifact(found.file, found.artifact) + renderPairs([['holds   ', `${found.files} files, ${found.bytes} bytes`]]));
      if (options.files) context.out(renderTable(['MODE', 'SIZE', 'PATH'], found.fileList.entries.map((entry) => (entry.type === 'file' ? [entry.mode.toString(8), String(entry.size), entry.path] : entry.type === 'directory' ? [entry.mode.toString(8), '-', `${entry.path}/`] : ['-', '-', `${entry.path} -> ${entry.target}`]))));
    });

  bundle
    .command('verify')
    .description('check every byte of a bundle as a host would')
    .argument('<file>')
    .option('--json', 'print JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const verified = await bundleVerify(resolve(context.cwd, file));
      if (options.json) return printJson(context, verified);
      context.out(`${verified.file} is whole: ${verified.artifact.product} ${verified.artifact.releaseId} (${verified.artifact.role}, ${verified.artifact.profile})\n`);
    });
}

function renderArtifact(file: string, artifact: Artifact): string {
  return renderPairs([
    ['bundle', file],
    ['product', artifact.product],
    ['release', `${artifact.releaseId}, version ${artifact.platformVersion}`],
    ['artifact', `${artifact.role}, ${artifact.profile}`],
    ['sha256', artifact.sha256],
    ['size', `${artifact.sizeBytes} bytes, ${artifact.format}`],
  ]);
}
