import { briefAnswer, parseOrigin, sightProblem, type OriginSight } from '../../../../src/domain/certificate/origin.ts';

test.each<[string, readonly number[], string]>([
  ['https://app.example.org', [443], 'app.example.org'],
  ['https://APP.example.org./', [443], 'app.example.org'],
  ['https://app.example.org:443', [443], 'app.example.org'],
  ['HTTPS://app.example.org:8443', [443, 8443], 'app.example.org'],
])('%s, served on %j: the name is %s', (origin, ports, name) => expect(parseOrigin(origin, ports)).toEqual({ name }));

test.each<[string, string]>([
  ['app.example.org', 'origin_invalid'],
  ['', 'origin_invalid'],
  ['http://app.example.org', 'origin_not_https'],
  ['https://app.example.org/admin', 'origin_with_path'],
  ['https://app.example.org?x=1', 'origin_with_path'],
  ['https://app.example.org/#a', 'origin_with_path'],
  ['https://user:secret@app.example.org', 'origin_with_user'],
  ['https://192.0.2.7', 'origin_name_invalid'],
  ['https://[2001:db8::1]', 'origin_name_invalid'],
  ['https://localhost', 'origin_name_invalid'],
  ['https://*.example.org', 'origin_name_invalid'],
  ['https://', 'origin_name_invalid'],
  ['https://app.example.org:8443', 'origin_port_not_served'],
  ['https://app.example.org:x', 'origin_port_not_served'],
])('%j: refused with %s and a hint', (origin, code) => {
  const parsed = parseOrigin(origin, [443]);
  expect('problem' in parsed && parsed.problem).toMatchObject({ class: 'request', code, hint: expect.any(String) });
});

const sight = (addresses: readonly string[], answers: OriginSight['answers'] = []): OriginSight => ({ name: 'app.example.org', addresses, answers });
test.each<[string, OriginSight, string | undefined]>([
  ['resolves to nothing', sight([]), 'origin_unresolved'],
  ['leads here on every address', sight(['192.0.2.7', '2001:db8::7'], [{ address: '192.0.2.7', answer: 'own' }, { address: '2001:db8::7', answer: 'own' }]), undefined],
  ['leads elsewhere by its stale AAAA record', sight(['192.0.2.7', '2001:db8::7'], [{ address: '192.0.2.7', answer: 'own' }, { address: '2001:db8::7', answer: 'other' }]), 'origin_elsewhere'],
  ['leads to a port that nobody opens', sight(['192.0.2.7'], [{ address: '192.0.2.7', answer: { error: 'no answer within 5000 ms' } }]), 'origin_unreachable'],
])('a name that %s', (_what, seen, code) => expect(sightProblem(seen, 80)?.code).toBe(code));

test('what answered elsewhere is told with the address: its status, and how it begins, in letters that a terminal takes', () => {
  const got = briefAnswer({ status: 200, body: `\u001b[31m<!doctype html>\n<title>Größe</title>${'x'.repeat(90)}` });
  expect(sightProblem(sight(['192.0.2.7'], [{ address: '192.0.2.7', answer: 'other', got }]), 80)?.message).toMatch(/^app\.example\.org leads to 192\.0\.2\.7 \(200 "\[31m<!doctype html> <title>Gr e<\/title>x+…"\), where something else/);
  expect([got.length < 80, briefAnswer({ status: 404, body: ' \n' })]).toEqual([true, '404']);
});
