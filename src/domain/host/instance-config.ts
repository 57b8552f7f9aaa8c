import { quoteForShell } from '../shell-word.ts';

/**
 * `/etc/<product>/<service>-<instance>.conf`: one `KEY='value'` a line, in the common subset of what `sh` sources and what systemd reads as
 * an EnvironmentFile (systemd.exec(5)). Comments and lines that are not assignments are left to the people who wrote them.
 */
export function renderInstanceConfig(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${quoteValue(value)}\n`)
    .join('');
}

/** In single quotes, and in double ones where the value holds a single quote: systemd does not read `'\''` as sh does. */
function quoteValue(value: string): string {
  return value.includes("'") ? `"${value.replaceAll(/["\\$`]/g, '\\$&')}"` : quoteForShell(value);
}

/** The assignments of a conf file; later ones win. Understands single and double quotes, and bare words. */
export function parseInstanceConfig(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) values[match[1]] = unquote(match[2].trim());
  }
  return values;
}

function unquote(text: string): string {
  let value = '';
  for (let at = 0; at < text.length; ) {
    const char = text[at] as string;
    if (char === "'") {
      const end = text.indexOf("'", at + 1);
      const stop = end === -1 ? text.length : end;
      value += text.slice(at + 1, stop);
      at = stop + 1;
    } else if (char === '"') {
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) {
        if (text[at] === '\\' && /["\\$`]/.test(text[at + 1] ?? '')) at += 1;
        value += text[at];
      }
      at += 1;
    } else if (char === '\\') {
      value += text[at + 1] ?? '';
      at += 2;
    } else if (/\s/.test(char)) {
      break;
    } else {
      value += char;
      at += 1;
    }
  }
  return value;
}
