const longest = 70;

/**
 * What a row of the audit says, in one line: from which release to which, how it ended and why, what was asked for, by which reason; of anything else the first of its members.
 * The whole stands in `--json`.
 */
export function auditBrief(detail: Readonly<Record<string, unknown>>): string {
  const { fromReleaseId, toReleaseId, releaseId, outcome, reason, code, request, status } = detail;
  const why = isRecord(reason) ? reason['code'] : code;
  const told = [
    isText(toReleaseId) ? `${isText(fromReleaseId) ? fromReleaseId : '(nothing)'} → ${toReleaseId}` : isText(releaseId) ? releaseId : '',
    isText(request) ? request : '',
    isText(outcome) ? `${outcome}${isText(why) ? ` (${why})` : ''}` : '',
    typeof status === 'number' ? String(status) : '',
    isText(reason) ? `“${reason}”` : '',
  ].filter(Boolean);
  const text = told.length > 0 ? told.join(' ') : Object.entries(detail).flatMap(([name, value]) => (isText(value) || typeof value === 'number' || typeof value === 'boolean' ? [`${name} ${value}`] : [])).slice(0, 3).join(', ');
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line || '-';
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;
