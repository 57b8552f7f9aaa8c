import type { Reason } from '../failure.ts';
import type { ProductName } from '../ids.ts';
import type { KeyRole } from './role.ts';
import { includesHost, includesProduct, scopeText, type KeyScope, type LabelledHost } from './scope.ts';
import type { RouteAccess } from './table.ts';

/** Who asks. */
export interface Caller {
  readonly name: string;
  readonly role: KeyRole;
  readonly scope: KeyScope | null;
}

/** What a request is about, as far as scopes can tell. */
export interface Subject {
  /** `every`: all of them have to be in the scope; `some`: one is enough, because the others are not shown. */
  readonly products: { readonly of: 'every' | 'some'; readonly names: readonly ProductName[] } | null;
  /** `fleet`: whatever hosts there are. */
  readonly hosts: readonly LabelledHost[] | 'fleet' | null;
}

/** `hidden`: what was asked for is not known. A key with a scope is not told that it is not there. */
export type Asked = Subject | 'nothing' | 'everything' | 'hidden';

/** Why this caller may not do this, or null. Pure: the same for every copy of the API. */
export function may(caller: Caller, route: RouteAccess, asked: Asked): Reason | null {
  return refuseRole(caller, route) ?? refuseSubject(caller, asked);
}

/** The first half, known before anything of the request is read. */
export function refuseRole({ name, role }: Pick<Caller, 'name' | 'role'>, { roles }: Pick<RouteAccess, 'roles'>): Reason | null {
  if (roles === 'public' || roles.includes(role)) return null;
  return { class: 'request', code: 'not_allowed', message: `Key "${name}" has role ${role}; this needs ${roles.join(' or ')}.`, hint: `Use a key of role ${roles[0]}.` };
}

/** The second half, for keys with a scope. */
export function refuseSubject({ name, scope }: Pick<Caller, 'name' | 'scope'>, asked: Asked): Reason | null {
  if (scope === null || asked === 'nothing') return null;
  if (asked !== 'everything' && asked !== 'hidden' && withinProducts(scope, asked.products) && withinHosts(scope, asked.hosts)) return null;
  const what = asked === 'everything' ? 'and this is about everything' : 'and what was asked for is not within it, or not there';
  return { class: 'request', code: 'out_of_scope', message: `Key "${name}" is for ${scopeText(scope)}, ${what}.`, hint: 'Use a key whose scope has it; fairlead keys list shows scopes, fairlead nodes label sets what hosts are selected by.' };
}

function withinProducts(scope: KeyScope, products: Subject['products']): boolean {
  if (products === null || scope.products.length === 0) return true;
  return products.of === 'every' ? products.names.every((name) => includesProduct(scope, name)) : products.names.some((name) => includesProduct(scope, name));
}

function withinHosts(scope: KeyScope, hosts: Subject['hosts']): boolean {
  if (hosts === null || scope.hosts.length === 0) return true;
  return hosts !== 'fleet' && hosts.length > 0 && hosts.every((host) => includesHost(scope, host));
}
