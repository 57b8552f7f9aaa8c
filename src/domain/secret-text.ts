const hidden = '[redacted]';
const name = 'passwords?|passwd|passphrase|secrets?|tokens?|api[_-]?keys?|private[_-]?keys?|credentials?';
/** Between a name and its value where the name is quoted, also with escaped quotes: then the value is quoted as well, or is no text. */
const quoted = `\\\\*["']\\s*[:=]\\s*\\\\*["']`;
const bare = `\\s*[:=]\\s*\\\\*["']?`;
const value = `[^\\s"'\\\\,;&}\\])]`;

const patterns: readonly (readonly [RegExp, string])[] = [
  // Before anything could cut it up.
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?(-----END [A-Z ]*PRIVATE KEY-----|(?=")|$)/g, `-----BEGIN PRIVATE KEY----- ${hidden}`],
  // A line of a PEM file that stands alone, as logs and evidence have it: 64 characters (RFC 7468). Digests are as long, and have no capitals.
  [/(^|["\n]|\\n)(?=[^"\n]*[A-Z])(?=[^"\n]*[a-z])[A-Za-z0-9+][A-Za-z0-9+/]{63}(?=["\n\\]|$)/g, `$1${hidden}`],
  [/\bfl_(viewer|operator|approver|admin|agent|enrol)_[A-Za-z0-9_-]{20,}/g, `fl_$1_${hidden}`],
  [/\bwhsec_[A-Za-z0-9+/=]{20,}/g, `whsec_${hidden}`],
  [/\bBearer\s+[A-Za-z0-9._~+/=-]{8,}/gi, `Bearer ${hidden}`],
  [/(authorization["'\\]*\s*[:=]\s*["'\\]*[A-Za-z]+\s+)[^\s"'\\,]{4,}/gi, `$1${hidden}`],
  [/(\b(?:set-)?cookie["'\\]*\s*[:=]\s*["'\\]*)[^"\\\r\n]+/gi, `$1${hidden}`],
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"\\]*):[^\s@"\\]+@/gi, `$1:${hidden}@`],
  [/([?&](?:key|sig|signature|auth|code)=)[^&\s"'\\]{6,}/gi, `$1${hidden}`],
  [new RegExp(`((?:${name})(?:${quoted}|${bare}))${value}{6,}`, 'gi'), `$1${hidden}`],
];

/**
 * Takes out of a text whatever looks like a secret: Fairlead's keys, bearer tokens, cookies, passwords in addresses, private keys, and values of names that say what they are.
 * A net for what nobody meant to write, not a reason to write it: a secret that looks like nothing passes. What comes out of JSON is JSON.
 */
export function hideSecrets(text: string): string {
  return patterns.reduce((shown, [pattern, instead]) => shown.replace(pattern, instead), text);
}

/** Whether the name of a variable says that its value is a secret, or holds one. */
export const isSecretName = (variable: string): boolean => /secret|token|passw|passphrase|credential|private|api_?key|_key$|_pass$|^pass$|dsn|_url$/i.test(variable);
