import { includesHost, normalScope, refuseScope, selects } from '../../../../src/domain/access/scope.ts';
import { accessOf } from '../../../../src/domain/access/table.ts';
import { may } from '../../../../src/domain/access/may.ts';
import type { HostId, ProductName } from '../../../../src/domain/ids.ts';

const host = { host: 'h1' as HostId, role: 'node' as const, labels: { env: 'prod', site: 'east' } };

test.each([
  ['env=prod', true],
  ['env=prod,site=east', true],
  ['env=prod,site=west', false],
  ['host=h1', true],
  ['host=h2', false],
  ['role=node', true],
  ['constructor=x', false],
  ['env', false],
  ['', false],
])('a host of prod and east is selected by %j: %s', (selector, is) => expect(selects(selector, host)).toBe(is));

test('one of several selectors is enough; none is no limit', () => {
  expect(includesHost({ products: [], hosts: ['env=test', 'site=east'] }, host)).toBe(true);
  expect(includesHost({ products: [], hosts: ['env=test'] }, host)).toBe(false);
  expect(includesHost({ products: ['lab' as ProductName], hosts: [] }, host)).toBe(true);
});

test('a scope that limits nothing is none, also for an admin; one that limits is refused there', () => {
  expect(normalScope({ products: [], hosts: [] })).toBeNull();
  expect(refuseScope('admin', { products: [], hosts: [] })).toBeNull();
  expect(refuseScope('admin', { products: ['lab' as ProductName], hosts: [] })).toMatchObject({ code: 'scope_not_for_role' });
  expect(refuseScope('viewer', { products: [], hosts: ['prod'] })).toMatchObject({ code: 'invalid_scope', message: expect.stringContaining('"prod"') });
});

test('role, product and host: the first that does not fit is told', () => {
  const route = accessOf('POST', '/api/updates/apply')!;
  const caller = { name: 'ci', role: 'operator' as const, scope: { products: ['lab' as ProductName], hosts: ['env=prod'] } };
  const asked = (product: string) => ({ products: { of: 'every' as const, names: [product as ProductName] }, hosts: [host] });
  expect(may(caller, route, asked('lab'))).toBeNull();
  expect(may({ ...caller, role: 'viewer' }, route, asked('lab'))).toMatchObject({ code: 'not_allowed' });
  expect(may(caller, route, asked('other'))).toMatchObject({ code: 'out_of_scope' });
  expect(may(caller, route, { ...asked('lab'), hosts: 'fleet' })).toMatchObject({ code: 'out_of_scope' });
  expect(may(caller, route, { ...asked('lab'), hosts: [] })).toMatchObject({ code: 'out_of_scope' });
});
