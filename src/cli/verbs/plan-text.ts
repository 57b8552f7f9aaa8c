/** A plan as indented lines: names and values as the API gives them, so that nothing a newer API adds is hidden. */
export function renderPlan(plan: Readonly<Record<string, unknown>>): string {
  return lines(plan, '').join('');
}

function lines(value: unknown, indent: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => (isPlain(item) ? [`${indent}- ${text(item)}\n`] : listItem(item, indent)));
  return Object.entries(value as Record<string, unknown>).flatMap(([name, inner]) => {
    if (isPlain(inner)) return [`${indent}${name}: ${text(inner)}\n`];
    const nested = lines(inner, `${indent}  `);
    return nested.length === 0 ? [`${indent}${name}: none\n`] : [`${indent}${name}:\n`, ...nested];
  });
}

/** On one line where every value is plain, as the steps of a plan are. */
function listItem(item: unknown, indent: string): string[] {
  const entries = Object.entries(item as Record<string, unknown>).filter(([, value]) => value !== null && value !== undefined);
  if (entries.every(([, value]) => isPlain(value))) return [`${indent}- ${entries.map(([name, value]) => `${name} ${text(value)}`).join(', ')}\n`];
  const [first = '', ...rest] = lines(item, `${indent}  `);
  return [`${indent}- ${first.trimStart()}`, ...rest];
}

const isPlain = (value: unknown): boolean => value === null || typeof value !== 'object';
const text = (value: unknown): string => (value === null || value === undefined ? 'none' : String(value));
