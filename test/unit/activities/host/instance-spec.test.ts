import { specOf } from '../../../../activities/host/instance-spec.ts';
import type { InstanceName } from '../../../../src/domain/ids.ts';
import { parseManifest } from '../../../../src/adapters/manifest/parse.ts';

test('{release}, {state}, {config} and {port} stand for what this host has, in arguments and in the environment', () => {
  const parsed = parseManifest(
    `schema: 1
product: lab
releaseId: r1
services:
  api:
    command: [bin/run, "--listen=127.0.0.1:{port}", "{release}/x"]
    instances: {installed: [a]}
    ports: {a: 4100}
    env: {LISTEN: "127.0.0.1:{port}", FILE: "{config}/.env", DATA: "{state}/data"}
    probes: {ready: ready}
probes: {ready: {service: api}}
`,
    'fairlead.yaml',
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  // The port that the host chose, which need not be the manifest's.
  const spec = specOf('/srv/h1', parsed.manifest, 'api-a' as InstanceName, 5100);
  expect(spec.command).toEqual(['bin/run', '--listen=127.0.0.1:5100', '/srv/h1/opt/lab/releases/r1/x']);
  expect(spec.env).toMatchObject({ PORT: '5100', LISTEN: '127.0.0.1:5100', FILE: '/srv/h1/etc/lab/.env', DATA: '/srv/h1/var/lib/lab/data' });
});
