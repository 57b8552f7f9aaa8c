import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostId, ProductName } from '../../../src/domain/ids.ts';
import { startApi } from '../../support/api.ts';
import type { TestApi } from '../../support/api.ts';
import { startPostgres } from '../../support/postgres.ts';
import type { TestPostgres } from '../../support/postgres.ts';
import { sampleInspection, sampleReport } from '../../support/samples.ts';

/** Every label, and what bounds its values. One that stands for requests, runs or releases has no place here: each value is a series for ever. */
const labels: Readonly<Record<string, string>> = {
  version: 'one for each process',
  release: 'one for each process',
  name: 'dependencies; the first name of a certificate',
  outcome: 'a fixed list',
  status: 'host statuses; HTTP status codes',
  schedule: 'a fixed list',
  method: 'HTTP methods; calls of the gateway',
  route: 'the table of routes, never a path',
  le: 'a fixed list',
  code: 'refusals of the gateway, a fixed list',
  host: 'the fleet, of which each host has one certificate for each product',
  product: 'the products of the fleet',
  state: 'of deliveries to webhooks: waiting, given_up',
};
const dashboard = JSON.parse(readFileSync(join(import.meta.dirname, '../../../deploy/grafana/fairlead.json'), 'utf8')) as { panels: { id: number; title: string; targets: { expr: string }[] }[] };

let postgres: TestPostgres;
let api: TestApi;
beforeAll(async () => {
  postgres = await startPostgres();
  api = await startApi(postgres);
  const { stores } = api;
  await stores.hosts.hello({ host: 'h1' as HostId, role: 'node', agentVersion: '0.1.0', bootId: 'b1', products: [sampleInspection('r1')] });
  await stores.runs.open({ ...sampleReport('run-1'), requestedAt: '2026-11-21T09:00:00.000Z' });
  await stores.runs.close(sampleReport('run-1'));
  const wish = { names: ['app.example.org'], issuer: { kind: 'directory', name: 'company', directory: '/pairs' } } as never;
  await stores.certificates.propose('h1' as HostId, 'lab' as ProductName, wish);
  await stores.certificates.noteLook('h1' as HostId, 'lab' as ProductName, { facts: { names: ['app.example.org'], notAfter: '2027-01-01T00:00:00.000Z' } as never, plan: null, lookedAt: '2026-11-21T09:00:00.000Z' });
});
afterAll(async () => {
  await api?.end();
  await postgres?.end();
});

interface Series {
  readonly name: string;
  readonly labels: readonly string[];
  readonly routes: readonly string[];
}
async function scrape(): Promise<{ readonly types: ReadonlyMap<string, string>; readonly series: readonly Series[]; readonly text: string }> {
  const { body } = await api.app.inject({ url: '/metrics', headers: { authorization: `Bearer ${api.adminKey}` } });
  const types = new Map([...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
  const series = [...body.matchAll(/^([a-z_]+)(?:\{(.*)\})? \S+$/gm)].map(([, name = '', inner = '']) => ({ name, labels: [...inner.matchAll(/([a-z_]+)="/g)].map(([, label = '']) => label), routes: [...inner.matchAll(/route="([^"]*)"/g)].map(([, route = '']) => route) }));
  return { types, series, text: body };
}

test('names say what is counted, in which unit, by the rules of Prometheus', async () => {
  const { types } = await scrape();
  expect(types.size).toBeGreaterThan(15);
  for (const [name, type] of types) {
    expect(name).toMatch(/^(fairlead|process)_[a-z]+(_[a-z]+)*$/);
    expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
    // Base units only: seconds and bytes.
    expect(name).not.toMatch(/_(ms|millis|milliseconds|minutes|hours|kb|mb|kib|mib|percent)(_|$)/);
    if (type === 'histogram') expect(name).toMatch(/_(seconds|bytes)$/);
  }
});

test('every label is one whose values are bounded', async () => {
  const { series } = await scrape();
  const used = new Set(series.flatMap((each) => each.labels));
  expect([...used].filter((label) => labels[label] === undefined)).toEqual([]);
  expect(Object.keys(labels).filter((label) => !used.has(label))).toEqual([]);
});

test('whoever asks for a thousand paths, methods and ids makes no series by that', async () => {
  const ask = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, at) => [`/api/runs/run-${at}`, `/api/hosts/x${at}`, `/nothing/${at}`, `/api/releases/p${at}/r${at}?q=${at}`]).flat().map((url) => api.app.inject({ url, headers: { authorization: `Bearer ${api.adminKey}` } })));
  await ask(2);
  const before = (await scrape()).series.length;
  await ask(50);
  const after = await scrape();
  expect(after.series.length).toBe(before);
  expect(after.series.flatMap(({ routes }) => routes).filter((route) => /\d/.test(route.replace('sha256', '')))).toEqual([]);
});

test('every metric that the dashboard asks for is there, and every panel asks for one', async () => {
  const { types, series } = await scrape();
  const there = new Set([...types.keys(), ...series.map(({ name }) => name)]);
  for (const { title, targets } of dashboard.panels) {
    const asked = targets.flatMap(({ expr }) => expr.match(/\b(fairlead|process)_[a-z_]+/g) ?? []);
    expect([title, asked.length > 0, asked.filter((name) => !there.has(name))]).toEqual([title, true, []]);
  }
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
});

test('what the dashboard groups by are labels of what it asks for', async () => {
  const { series } = await scrape();
  for (const { title, targets } of dashboard.panels) {
    for (const { expr } of targets) {
      const [name] = expr.match(/\b(fairlead|process)_[a-z_]+/) ?? [];
      const grouped = [...expr.matchAll(/by \(([a-z, ]+)\)/g)].flatMap(([, names = '']) => names.split(',').map((label) => label.trim()));
      const known = new Set(series.filter((each) => each.name === name).flatMap((each) => each.labels));
      expect([title, name, grouped.filter((label) => !known.has(label))]).toEqual([title, name, []]);
    }
  }
});

test('a line of the log is JSON, and names the request, the host and the run that it is about', async () => {
  const answer = await api.app.inject({ url: '/api/runs/run-1', headers: { authorization: `Bearer ${api.adminKey}` } });
  await api.app.inject({ method: 'POST', url: '/api/updates/check', payload: { host: 'h1', product: 'lab' }, headers: { authorization: `Bearer ${api.adminKey}` } });
  const lines = api.log.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.find(({ requestId }) => requestId === answer.headers['x-request-id'])).toMatchObject({ name: 'api', level: 'debug', runId: 'run-1', path: '/api/runs/run-1', status: 200, caller: 'ci', time: expect.stringMatching(/^\d{4}-/) });
  expect(lines.find(({ path }) => path === '/api/updates/check')).toMatchObject({ host: 'h1', requestId: expect.stringMatching(/^req-/) });
});
