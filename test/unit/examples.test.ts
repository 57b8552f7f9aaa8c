import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseManifest } from '../../src/adapters/manifest/parse.ts';
import { instancesOf, type Role } from '../../src/domain/product/manifest.ts';

const examples = join(import.meta.dirname, '../../examples');
const names = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);

describe('examples', () => {
  test('there are some', () => expect(names).toContain('noderax-platform'));

  test.each(names)('%s: its manifest has no problem and names itself', (name) => {
    const parsed = parseManifest(readFileSync(join(examples, name, 'fairlead.yaml'), 'utf8'), 'fairlead.yaml');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
    expect(parsed.manifest.product).toBe(name);
    expect(instancesOf(parsed.manifest, 'installed').length).toBeGreaterThan(0);
  });

  test('noderax-platform: two API and two web instances once installed, one of each before, the web front last', () => {
    const parsed = parseManifest(readFileSync(join(examples, 'noderax-platform', 'fairlead.yaml'), 'utf8'), 'fairlead.yaml');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
    expect(instancesOf(parsed.manifest, 'setup').map((instance) => instance.name)).toEqual(['api-setup', 'web-setup']);
    expect(instancesOf(parsed.manifest, 'installed').map((instance) => instance.name)).toEqual(['api-a', 'api-b', 'web-a', 'web-b']);
    expect(parsed.manifest.health).toEqual({ setup: ['api-live', 'setup-route'], installed: ['api-route', 'web-health', 'web-route'] });
  });

  test.each([
    ['controller', 'hub', ['hub-a', 'hub-b'], ['hub-live', 'hub-ready', 'hub-route', 'fleet-route']],
    ['node', 'runtime', ['runtime-main'], ['runtime-live', 'runtime-ready']],
  ] as const)('lab: the %s has an artifact and a health model of its own', (role, service, instances, health) => {
    const parsed = parseManifest(readFileSync(join(examples, 'lab', 'fairlead.yaml'), 'utf8'), 'fairlead.yaml', {}, role);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
    expect(parsed.manifest.artifact.role).toBe(role);
    expect(instancesOf(parsed.manifest, 'installed').map((instance) => instance.name)).toEqual(instances);
    expect(parsed.manifest.health.installed).toEqual(health);
    expect(parsed.manifest.services.map(({ name }) => name)).toEqual([service]);
  });

  test("Fairlead's own: two control workers and two APIs behind a router, and one agent there and on a node", () => {
    const text = readFileSync(join(examples, '../deploy/release/fairlead.yaml'), 'utf8');
    const of = (role: Role) => {
      const parsed = parseManifest(text, 'fairlead.yaml', {}, role);
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
      return { product: parsed.manifest.product, ...parsed.manifest.artifact, instances: instancesOf(parsed.manifest, 'installed').map(({ name }) => name), routed: parsed.manifest.router !== null };
    };
    expect(of('controller')).toEqual({ product: 'fairlead', role: 'controller', profile: 'control-plane', instances: ['api-a', 'api-b', 'control-a', 'control-b', 'agent-main'], routed: true });
    expect(of('node')).toEqual({ product: 'fairlead', role: 'node', profile: 'node-runtime', instances: ['agent-main'], routed: false });
  });

  test('bloom-runtime: two instances take turns behind nginx, and the keys are in a file of their own', () => {
    const parsed = parseManifest(readFileSync(join(examples, 'bloom-runtime', 'fairlead.yaml'), 'utf8'), 'fairlead.yaml');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems, null, 2));
    const { manifest } = parsed;
    expect(manifest.initialPhase).toBe('installed');
    expect(instancesOf(manifest, 'installed').map((instance) => instance.name)).toEqual(['runtime-a', 'runtime-b']);
    expect(manifest.services[0]?.env).toEqual({ ENV_FILE: '{config}/.env.production', NODE_ENV: 'production' });
    expect(manifest.data.onRollback).toBe('keep');
  });
});
