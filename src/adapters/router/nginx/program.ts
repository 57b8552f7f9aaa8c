import { readFileSync } from 'node:fs';
import { FairleadError } from '../../../domain/failure.ts';
import type { CommandRunner } from '../../../ports/command-runner.ts';
import type { NginxSettings } from './commands.ts';
import { parseModules, parseVersion, parseWorkerUser } from './parse.ts';

export const commandLimitMs = 20_000;

/** nginx lies where a plain user's PATH does not lead. */
export const searchPath = () => ({ PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` });

export async function askVersion(commands: CommandRunner, nginxPath: string): Promise<Pick<NginxSettings, 'version' | 'tls' | 'http2'>> {
  const result = await commands.run([nginxPath, '-V'], { timeoutMs: commandLimitMs, env: searchPath() });
  if (result.exitCode === 0) return { version: parseVersion(result.stderr), ...parseModules(result.stderr) };
  throw new FairleadError({ class: 'host', code: 'nginx_not_run', message: `nginx cannot be asked for its version: ${result.summary}`, hint: 'install nginx on the host, or choose the embedded router' });
}

export function readWorkerUser(): NginxSettings['workerUser'] {
  if (process.getuid?.() !== 0) return null;
  try {
    return parseWorkerUser(readFileSync('/etc/passwd', 'utf8'), readFileSync('/etc/group', 'utf8'));
  } catch {
    return null;
  }
}
