import * as fs from 'node:fs/promises';
import { messagesOf } from '../../domain/failure.ts';
import { isSecretName } from '../../domain/secret-text.ts';
import { errnoOf, isMissing, readIfThere } from '../files/durable.ts';
import { parseConf } from './conf-file.ts';

const maxLogBytes = 16 * 2 ** 20;
const logTailBytes = 256 * 2 ** 10;

/** One old log is kept. Done only before a start: a running process writes on into the file that it has open. */
export async function rotateLog(file: string): Promise<void> {
  try {
    if ((await fs.stat(file)).size > maxLogBytes) await fs.rename(file, `${file}.1`);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** The last `lines` lines of an instance's log without the secrets of its conf file. Never throws: what cannot be had is said in a line. */
export async function readLog(path: string, configFile: string, lines: number): Promise<string[]> {
  try {
    return lastLines(await readTail(path), lines, secretsIn(parseConf((await readIfThere(configFile)) ?? '', configFile)));
  } catch (error) {
    // Without the conf file nobody knows what must not be shown, so that nothing is.
    return [`(the log cannot be shown: ${isMissing(error) ? 'there is none' : (messagesOf(error)[0] ?? errnoOf(error))})`];
  }
}

async function readTail(path: string): Promise<string> {
  const handle = await fs.open(path, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, logTailBytes);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, size - length);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await handle.close();
  }
}

/** Values of names that sound secret, long enough to be told apart from ordinary text. */
export function secretsIn(conf: Readonly<Record<string, string>>): string[] {
  return Object.entries(conf).filter(([name, value]) => isSecretName(name) && value.length >= 6).map(([, value]) => value);
}

/** The last `count` lines, with every secret replaced: evidence travels into reports and workflow history. */
export function lastLines(text: string, count: number, secrets: readonly string[]): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.slice(-count).map((line) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '****'), line).slice(0, 2_000));
}
