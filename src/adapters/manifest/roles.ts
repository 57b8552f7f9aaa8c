import { namePattern } from '../../domain/ids.ts';
import type { Role } from '../../domain/product/manifest.ts';
import type { Path } from './position.ts';

/** What a role of a source manifest may say for itself. It stands in the place of what the manifest says for all; nothing is merged below that. */
export const roleSections = ['initialPhase', 'services', 'probes', 'health', 'router', 'hooks', 'backup', 'data', 'updateFrom', 'setup', 'canary', 'blueGreen', 'certificates', 'retention', 'bakeSeconds'] as const;

/** The manifest that one role's bundle gets. */
export interface Variant {
  /** Null where the document names no roles: then it is the manifest of a bundle. */
  readonly role: Role | null;
  readonly value: unknown;
  /** Where something of the variant stands in the document. */
  readonly placed: (path: Path) => Path;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One variant for each role that the document names, in its order; the document itself, without what it says of roles, where that is none. */
export function variantsOf(document: unknown): Variant[] {
  if (!isMap(document)) return [{ role: null, value: document, placed: (path) => path }];
  const { roles, ...shared } = document;
  const named = isMap(roles) ? (['controller', 'node'] as const).filter((role) => role in roles).sort((a, b) => Object.keys(roles).indexOf(a) - Object.keys(roles).indexOf(b)) : [];
  if (named.length === 0) return [{ role: null, value: shared, placed: (path) => path }];
  return named.map((role) => {
    const said = isMap((roles as Record<string, unknown>)[role]) ? ((roles as Record<string, unknown>)[role] as Record<string, unknown>) : {};
    const own = Object.fromEntries(Object.entries(said).filter(([key]) => (roleSections as readonly string[]).includes(key)));
    // A profile that is wrong is told once, as what `roles` says.
    const profile = typeof said['profile'] === 'string' && namePattern.test(said['profile']) ? said['profile'] : 'default';
    return { role, value: { ...shared, ...own, artifact: { role, profile } }, placed: (path) => (path[0] !== undefined && path[0] in own ? ['roles', role, ...path] : path) };
  });
}
