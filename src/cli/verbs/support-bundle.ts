import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { archiveOfTexts } from '../../adapters/bundle/archive-of-texts.ts';
import { exists, writeFileDurably } from '../../adapters/files/durable.ts';
import { hiderOf } from '../../adapters/secrets/known.ts';
import { hideSecrets, isSecretName } from '../../domain/secret-text.ts';
import { createApiClient, type ApiClient } from '../api-client.ts';
import { findConnection, withConnection } from '../connection.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Context } from '../context.ts';
import { printJson } from '../context.ts';
import { CommandFailure, exitCodes } from '../errors.ts';
import { apiSections, collect, ownSections } from '../support/sections.ts';
import { doctorFindings } from './doctor.ts';

interface Options extends ConnectionOptions {
  readonly output?: string;
  readonly logs?: string[];
  readonly json?: boolean;
}

export function registerSupportBundle(program: Command, context: Context, version: string): void {
  withConnection(program.command('support-bundle').description('what somebody who helps needs to see, in one .tar.gz (0600) without secrets; works with the API away as well'))
    .option('-o, --output <file>', 'where it goes; default fairlead-support-TIME.tar.gz here')
    .option('--logs <dir...>', 'directories with *.log files whose ends are put in; those of a development instance are by themselves')
    .action(async (options: Options) => {
      const at = new Date().toISOString().replaceAll(/[:.]/g, '-');
      const file = resolve(context.cwd, options.output ?? `fairlead-support-${at}.tar.gz`);
      if (await exists(file)) throw new CommandFailure(exitCodes.refused, `${file} exists already and is not overwritten`, 'name another file: -o FILE');
      const { api, why } = await reachApi(options, context);
      const own = ownSections(context, version, () => doctorFindings(options, context), logDirectories(options, context));
      const { texts, missing } = await collect(new Map([...own, ...(api === null ? [] : await apiSections(api))]));
      if (api === null) missing.push({ file: 'everything that the API tells', why });
      // What is known to be a secret here, and what looks like one anywhere.
      const hide = hiderOf([api?.connection.key ?? '', ...Object.entries(context.env).flatMap(([name, value]) => (value !== undefined && isSecretName(name) && !/_FILE$/.test(name) ? [value] : []))]);
      const shown = new Map([...texts].map(([path, text]): [string, string] => [path, hideSecrets(hide(text))]));
      shown.set('contents.json', `${JSON.stringify({ schema: 1, at: new Date().toISOString(), version, files: [...texts.keys()], missing: missing.map((each) => ({ ...each, why: hideSecrets(hide(each.why)) })) }, null, 2)}\n`);
      await writeFileDurably(file, await archiveOfTexts(`fairlead-support-${at}`, shown), 0o600);
      if (options.json) printJson(context, { file, files: [...shown.keys()], missing });
      else context.out(`${file}\n`);
      for (const { file: path, why: reason } of missing) context.note(`not in it: ${path}: ${reason}`);
      context.note('secrets are taken out as far as they can be told from other text: look through it before you give it away');
    });
}

/** The API, if it is known and answers: asked once, so that its absence costs one limit and not twenty. */
async function reachApi(options: Options, context: Context): Promise<{ api: ApiClient | null; why: string }> {
  try {
    const api = createApiClient(findConnection(options, context));
    await api.get('/health', { timeoutMs: 5_000 });
    return { api, why: '' };
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return { api: null, why: error.message };
  }
}

function logDirectories({ logs = [], dir }: Options, { cwd }: Context): string[] {
  const given = logs.map((each) => resolve(cwd, each));
  if (dir !== undefined) return [...given, join(resolve(cwd, dir), 'logs')];
  return given.length > 0 ? given : usual(join(cwd, '.fairlead/dev/logs'));
}

/** Nobody asked for it: where there is none, that is nothing to tell. */
const usual = (directory: string): string[] => (existsSync(dirname(directory)) ? [directory] : []);
