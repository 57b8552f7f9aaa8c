import { certificateNameOf, covers, hostNameProblem } from '../../../../src/domain/certificate/host-name.ts';

test.each(['app.example.org', '*.example.org', 'xn--bcher-kva.example', 'a.b-c.d9.example.org'])('%s: a host name that a certificate can be for', (name) => expect(hostNameProblem(name)).toBeNull());

test.each<[string, RegExp]>([
  ['192.0.2.7', /address/],
  ['2001:db8::1', /address/],
  ['localhost', /no dot/],
  ['printer.local', /not public/],
  ['bücher.example', /xn--/],
  ['-a.example.org', /labels/],
  ['a..example.org', /labels/],
  ['a.*.example.org', /labels/],
  ['a_b.example.org', /labels/],
  ['', /labels/],
  [`${'a'.repeat(64)}.example.org`, /labels/],
  [`${'a.'.repeat(130)}org`, /253/],
])('%j: refused, and why', (name, why) => expect(hostNameProblem(name)).toMatch(why));

test.each<[string, string, boolean]>([
  ['app.example.org', 'APP.example.org', true],
  ['*.example.org', 'app.example.org', true],
  ['*.example.org', 'a.app.example.org', false],
  ['*.example.org', 'example.org', false],
  ['*.example.org', '*.example.org', true],
  ['app.example.org', '*.example.org', false],
])('a certificate for %s stands for %s: %s', (certified, name, expected) => expect(covers(certified, name)).toBe(expected));

test('what a certificate is called can name a folder', () => {
  expect([certificateNameOf(['App.example.org', 'x.org']), certificateNameOf(['*.example.org']), certificateNameOf([`${'a'.repeat(62)}.example.org`])]).toEqual(['app.example.org', 'wildcard.example.org', 'a'.repeat(62)]);
});
