import type { Reason } from '../failure.ts';
import type { HostId, ProductName } from '../ids.ts';
import type { Role } from '../product/manifest.ts';
import type { KeyRole } from './role.ts';

/** What a person says of a host, for keys to be limited by. An agent cannot change them: it would widen what others may do. */
export type Labels = Readonly<Record<string, string>>;

/**
 * What a key is limited to. An empty list is no limit. A host is meant by any one of the selectors, and by a selector where it has all of its labels:
 * `env=prod,site=east`. Every host has the labels `host` and `role` of itself, so `host=h1` is one host.
 */
export interface KeyScope {
  readonly products: readonly ProductName[];
  readonly hosts: readonly string[];
}

export interface LabelledHost {
  readonly host: HostId;
  /** Null for a host that nobody knows yet. */
  readonly role: Role | null;
  readonly labels: Labels;
}

export const labelNamePattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;
export const labelValuePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** Labels that every host has of itself; nobody sets them. */
export const ownLabels: readonly string[] = ['host', 'role'];

/** The pairs of a selector, or null where it is none. */
export function readSelector(text: string): readonly (readonly [string, string])[] | null {
  const pairs = text.split(',').map((pair) => pair.trim().split('='));
  return pairs.every(([name = '', value = '', ...rest]) => rest.length === 0 && labelNamePattern.test(name) && labelValuePattern.test(value)) ? pairs.map(([name = '', value = '']) => [name, value] as const) : null;
}

/** Whether a host has every label of a selector. A selector that cannot be read means no host. */
export function selects(selector: string, { host, role, labels }: LabelledHost): boolean {
  const pairs = readSelector(selector);
  return pairs !== null && pairs.every(([name, value]) => (name === 'host' ? host === value : name === 'role' ? role === value : Object.hasOwn(labels, name) && labels[name] === value));
}

export const includesProduct = (scope: KeyScope | null, product: ProductName): boolean => scope === null || scope.products.length === 0 || scope.products.includes(product);
export const includesHost = (scope: KeyScope | null, host: LabelledHost): boolean => scope === null || scope.hosts.length === 0 || scope.hosts.some((selector) => selects(selector, host));

/** The scope as it is kept: null where it limits nothing. */
export const normalScope = (scope: KeyScope | null): KeyScope | null => (scope === null || (scope.products.length === 0 && scope.hosts.length === 0) ? null : { products: [...new Set(scope.products)], hosts: [...new Set(scope.hosts)] });

/** Why a key of this role cannot have this scope, or null. */
export function refuseScope(role: KeyRole, scope: KeyScope | null): Reason | null {
  const normal = normalScope(scope);
  if (normal === null) return null;
  if (role === 'admin' || role === 'agent') {
    const why = role === 'admin' ? 'an admin makes keys, also ones without a scope' : "an agent's key is its host's, and nothing else";
    return { class: 'request', code: 'scope_not_for_role', message: `A key of role ${role} has no scope: ${why}.`, hint: 'Choose viewer, operator or approver, or leave the scope out.' };
  }
  const unreadable = normal.hosts.find((selector) => readSelector(selector) === null);
  if (unreadable === undefined) return null;
  return { class: 'request', code: 'invalid_scope', message: `${JSON.stringify(unreadable)} selects no hosts: it is no list of labels.`, hint: 'Write name=value, several with commas where a host must have all of them: env=prod,site=east. One host is host=NAME.' };
}

export const scopeText = (scope: KeyScope | null): string =>
  scope === null ? 'everything' : [scope.products.length === 0 ? '' : `products ${scope.products.join(' ')}`, scope.hosts.length === 0 ? '' : `hosts ${scope.hosts.join(' or ')}`].filter((part) => part !== '').join('; ');
