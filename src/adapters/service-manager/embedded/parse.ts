import { constants } from 'node:os';
import { FairleadError } from '../../../domain/failure.ts';
import type { ReleaseId } from '../../../domain/ids.ts';

/** `<runtimeDir>/<instance>.json`. A memory aid: which processes run is asked of the kernel. */
export interface InstanceRecord {
  readonly schema: 1;
  readonly launchId: string;
  readonly releaseId: ReleaseId;
  readonly pid: number | null;
  readonly startTicks: string | null;
  readonly bootId: string;
  readonly startedAt: string;
  /** Set before the stop signal is sent: an end after it was asked for, and is no failure. */
  readonly stopRequestedAt: string | null;
}

/** Null for a text that is no record: it is then treated as missing, because the processes tell the rest. */
export function parseRecord(text: string | null): InstanceRecord | null {
  if (text === null) return null;
  try {
    const record = JSON.parse(text) as InstanceRecord;
    return record.schema === 1 && typeof record.launchId === 'string' ? record : null;
  } catch {
    return null;
  }
}

/** Reads what the watcher wrote: launch id and the shell's exit status. @returns `exit 1` or `SIGSEGV`; null where it is of another launch. */
export function parseExit(text: string | null, launchId: string): string | null {
  const match = /^(\S+) (\d+)\n$/.exec(text ?? '');
  if (match === null || match[1] !== launchId) return null;
  const status = Number(match[2]);
  // POSIX sh reports a signal as a status above 128; all shells in use add its number to 128.
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return signal ?? `exit ${status}`;
}

/**
 * Reads a conf file: lines of `NAME=value`, where the value is bare, in single or in double quotes, as plain `sh` would read it. Blank lines,
 * comments and a leading `export` are skipped. What sh would expand (`$`, backquotes) is refused, since it would mean two things.
 * @throws FairleadError `conf_file_invalid` with the line's number; the value itself is never in the message.
 */
export function parseConf(text: string, path: string): Record<string, string> {
  const values: Record<string, string> = {};
  const invalid = (line: number, what: string) =>
    new FairleadError({
      class: 'host',
      code: 'conf_file_invalid',
      message: `${path}:${line}: ${what}`,
      hint: "write one NAME='value' on each line; a single quote inside is written '\\''",
    });
  const assignment = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=/;
  for (let offset = 0, line = 1; offset < text.length; ) {
    const newline = text.indexOf('\n', offset);
    const end = newline === -1 ? text.length : newline;
    const content = text.slice(offset, end).trim();
    if (content === '' || content.startsWith('#')) {
      offset = end + 1;
      line += 1;
      continue;
    }
    const start = offset + text.slice(offset, end).search(/\S/);
    const name = assignment.exec(text.slice(start, end));
    if (name === null || name[1] === undefined) throw invalid(line, 'this is no assignment');
    const word = readWord(text, start + name[0].length);
    if (typeof word === 'string') throw invalid(line, `the value of ${name[1]} ${word}`);
    const rest = text.slice(word.end, text.indexOf('\n', word.end) === -1 ? text.length : text.indexOf('\n', word.end));
    if (!/^\s*(#.*)?$/.test(rest) || /^#/.test(rest)) throw invalid(line, `the value of ${name[1]} is followed by more words; put it in quotes`);
    values[name[1]] = word.value;
    line += text.slice(offset, word.end + rest.length).split('\n').length;
    offset = word.end + rest.length + 1;
  }
  return values;
}

/** One shell word from `offset`, up to unquoted white space; or why it cannot be read. */
function readWord(text: string, offset: number): { value: string; end: number } | string {
  let value = '';
  let at = offset;
  for (let character = text[at]; character !== undefined && !/\s/.test(character); character = text[at]) {
    if (character === "'") {
      const close = text.indexOf("'", at + 1);
      if (close === -1) return 'has no closing single quote';
      value += text.slice(at + 1, close);
      at = close + 1;
    } else if (character === '"') {
      for (at += 1; text[at] !== '"'; at += 1) {
        const inner = text[at];
        if (inner === undefined) return 'has no closing double quote';
        if (inner === '$' || inner === '`') return 'holds $ or a backquote, which a shell would expand; use single quotes';
        if (inner === '\\' && /["\\$`]/.test(text[at + 1] ?? '')) at += 1;
        value += text[at];
      }
      at += 1;
    } else if (character === '\\') {
      if (text[at + 1] === undefined || text[at + 1] === '\n') return 'ends in a backslash';
      value += text[at + 1];
      at += 2;
    } else if (/[$`;&|<>()]/.test(character)) {
      return 'holds a character that a shell would not take as text; use single quotes';
    } else {
      value += character;
      at += 1;
    }
  }
  return { value, end: at };
}

/** Values of names that sound secret, long enough to be told apart from ordinary text. */
export function secretsIn(conf: Readonly<Record<string, string>>): string[] {
  const secretName = /secret|token|passw|credential|private|api_?key|_key$|dsn|_url$/i;
  return Object.entries(conf).filter(([name, value]) => secretName.test(name) && value.length >= 6).map(([, value]) => value);
}

/** The last `count` lines, with every secret replaced: evidence travels into reports and workflow history. */
export function lastLines(text: string, count: number, secrets: readonly string[]): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.slice(-count).map((line) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '****'), line).slice(0, 2_000));
}
