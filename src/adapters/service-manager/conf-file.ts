import { FairleadError } from '../../domain/failure.ts';

/**
 * Reads a conf file: lines of `NAME=value`, where the value is one bare word, or stands in single or in double quotes as a whole. Blank lines and
 * comments are skipped.
 *
 * That is what sh (POSIX, 2.2 Quoting) and systemd (`EnvironmentFile=` in systemd.exec(5)) read alike, so that a host may change its service
 * manager, and recovery scripts may source the file. Everything that one of them would take for something else is refused: `export` (systemd
 * drops the line), a comment behind a value (systemd keeps it), quotes within a word and `'\''` (systemd keeps the quotes), what sh expands (`$`,
 * backquotes, `~`), and a comment that ends in a backslash (with systemd it swallows the next line).
 * @throws FairleadError `conf_file_invalid` with the line's number; the value itself is never in the message.
 */
export function parseConf(text: string, path: string): Record<string, string> {
  const values: Record<string, string> = {};
  const invalid = (line: number, what: string) =>
    new FairleadError({
      class: 'host',
      code: 'conf_file_invalid',
      message: `${path}:${line}: ${what}`,
      hint: `write one NAME='value' on each line; a value with a single quote is written "it's", with a backslash before each " $ \` and \\ in it`,
    });
  for (let offset = 0, line = 1; offset < text.length; ) {
    const newline = text.indexOf('\n', offset);
    const end = newline === -1 ? text.length : newline;
    const content = text.slice(offset, end);
    if (unusual.test(content)) throw invalid(line, 'this line holds a control character or is not UTF-8');
    if (/^[ \t]*(#|$)/.test(content)) {
      if (content.endsWith('\\')) throw invalid(line, 'this comment ends in a backslash, so that systemd would skip the next line as well');
      offset = end + 1;
      line += 1;
      continue;
    }
    const name = /^[ \t]*([A-Za-z_][A-Za-z0-9_]*)=/.exec(content);
    if (name === null || name[1] === undefined) throw invalid(line, /^[ \t]*export\s/.test(content) ? 'export is not wanted here: every assignment is exported, and systemd drops this line' : 'this is no assignment');
    const word = readWord(text, offset + name[0].length);
    if (typeof word === 'string') throw invalid(line, `the value of ${name[1]} ${word}`);
    if (unusual.test(word.value.replaceAll('\n', ''))) throw invalid(line, `the value of ${name[1]} holds a control character or is not UTF-8`);
    const rest = text.slice(word.end, text.indexOf('\n', word.end) === -1 ? text.length : text.indexOf('\n', word.end));
    if (!/^[ \t]*$/.test(rest)) throw invalid(line, `the value of ${name[1]} is followed by more; put all of it into one pair of quotes, and a comment on a line of its own`);
    values[name[1]] = word.value;
    line += text.slice(offset, word.end + rest.length).split('\n').length;
    offset = word.end + rest.length + 1;
  }
  return values;
}

/** Carriage returns end a value for systemd and belong to it for sh; other control characters and what is not UTF-8 make systemd drop the line. */
const unusual = /[\u0000-\u0008\u000b-\u001f\u007f\ufffd]/;

/** One value from `offset`; or why it cannot be read. */
function readWord(text: string, offset: number): { value: string; end: number } | string {
  const first = text[offset];
  if (first === "'") {
    const close = text.indexOf("'", offset + 1);
    return close === -1 ? 'has no closing single quote' : { value: text.slice(offset + 1, close), end: close + 1 };
  }
  if (first === '"') return readDoubleQuoted(text, offset + 1);
  const value = /^[^\s]*/.exec(text.slice(offset))?.[0] ?? '';
  if (/['"\\]/.test(value)) return 'has quotes or a backslash within; put all of it into one pair of quotes';
  if (/[$`;&|<>()]/.test(value)) return 'holds a character that a shell would not take as text; use single quotes';
  if (/(^|:)~/.test(value)) return 'holds ~, which a shell would expand; use single quotes';
  return { value, end: offset + value.length };
}

function readDoubleQuoted(text: string, offset: number): { value: string; end: number } | string {
  let value = '';
  for (let at = offset; ; at += 1) {
    const inner = text[at];
    if (inner === undefined) return 'has no closing double quote';
    if (inner === '"') return { value, end: at + 1 };
    if (inner === '$' || inner === '`') return 'holds $ or a backquote, which a shell would expand; use single quotes';
    if (inner === '\\') {
      at += 1;
      if (!/["\\$`]/.test(text[at] ?? '')) return 'has a backslash before something other than " $ ` or another backslash; use single quotes, or double the backslash';
    }
    value += text[at];
  }
}
